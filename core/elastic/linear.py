"""A linear layer that can run on the first inputs and outputs of its weights."""

from __future__ import annotations

from typing import Self, final

from torch import Tensor, nn
from torch.nn import functional

from stillhouse.core.elastic.bounds import check_slice
from stillhouse.core.elastic.copies import copied


@final
class ElasticLinear(nn.Module):
    """`nn.Linear` over a prefix of features, as slimmable networks do (Yu et al. 2019, sec. 3).

    Maps (..., active inputs) to (..., active outputs).
    """

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.weight = copied(weight)
        self.bias = None if bias is None else copied(bias)
        self.outputs, self.inputs = weight.shape

    @classmethod
    def from_plain(cls, module: nn.Linear) -> Self:
        return cls(module.weight, module.bias)

    def set_active(self, inputs: int, outputs: int) -> None:
        full_outputs, full_inputs = self.weight.shape
        check_slice("ElasticLinear", inputs=(inputs, full_inputs), outputs=(outputs, full_outputs))
        self.inputs, self.outputs = inputs, outputs

    def slices(self) -> tuple[Tensor, Tensor | None]:
        """Active weight (outputs, inputs) and bias (outputs,); gradients flow to the full ones."""
        bias = None if self.bias is None else self.bias[: self.outputs]
        return self.weight[: self.outputs, : self.inputs].contiguous(), bias

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(x, *self.slices())

    def extract(self) -> nn.Linear:
        weight, bias = self.slices()
        plain = nn.Linear(self.inputs, self.outputs, bias=bias is not None, device="meta")
        plain.weight = copied(weight)
        if bias is not None:
            plain.bias = copied(bias)
        return plain
