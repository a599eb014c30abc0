"""A linear layer that can run on the first inputs and outputs of its weights."""

from __future__ import annotations

from typing import Self, final

from torch import Tensor, nn
from torch.nn import functional

from stillhouse.core.elastic.bounds import check_slice, set_quickly
from stillhouse.core.elastic.copies import copied
from stillhouse.core.elastic.pieces import Pieces, prefix, take


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
        self._full = self.inputs, self.outputs
        self._taken = prefix(self.outputs), prefix(self.inputs)

    @classmethod
    def from_plain(cls, module: nn.Linear) -> Self:
        return cls(module.weight, module.bias)

    @property
    def in_features(self) -> int:
        """As `nn.Linear` calls it: `forward`s read such attributes of their layers."""
        return self.inputs

    @property
    def out_features(self) -> int:
        return self.outputs

    def set_active(self, inputs: int, outputs: int) -> None:
        full_inputs, full_outputs = self._full
        check_slice("ElasticLinear", inputs=(inputs, full_inputs), outputs=(outputs, full_outputs))
        taken = prefix(outputs), prefix(inputs)
        set_quickly(self, inputs=inputs, outputs=outputs, _taken=taken)

    def set_pieces(self, inputs: Pieces, outputs: Pieces) -> None:
        """`set_active` for features that are no prefix. ValueError beyond the weights."""
        full_inputs, full_outputs = self._full
        last = {
            "inputs": (inputs[-1].stop, full_inputs),
            "outputs": (outputs[-1].stop, full_outputs),
        }
        check_slice("ElasticLinear", **last)
        sizes = [sum(piece.stop - piece.start for piece in side) for side in (inputs, outputs)]
        set_quickly(self, inputs=sizes[0], outputs=sizes[1], _taken=(outputs, inputs))

    def slices(self) -> tuple[Tensor, Tensor | None]:
        """Active weight (outputs, inputs) and bias (outputs,); gradients flow to the full ones."""
        outputs, inputs = self._taken
        bias = None if self.bias is None else take(self.bias, 0, outputs)
        return take(take(self.weight, 0, outputs), 1, inputs).contiguous(), bias

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(x, *self.slices())

    def extract(self) -> nn.Linear:
        weight, bias = self.slices()
        plain = nn.Linear(self.inputs, self.outputs, bias=bias is not None, device="meta")
        plain.weight = copied(weight)
        if bias is not None:
            plain.bias = copied(bias)
        return plain
