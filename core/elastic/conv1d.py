"""A 1-d convolution over the first channels and the centre of its kernel."""

from __future__ import annotations

from typing import Self, final

from torch import Tensor, nn
from torch.nn import functional

from stillhouse.core.elastic.convolution import ElasticConv, window_of
from stillhouse.core.elastic.copies import copied


@final
class ElasticConv1d(ElasticConv):
    """`nn.Conv1d` with elastic channels and kernel: (batch, inputs, positions) in and out."""

    @classmethod
    def from_plain(cls, module: nn.Conv1d, *, transforms: bool = False) -> Self:
        """Raises ValueError for padding with non-zeros or of unequal sides."""
        window, groups = window_of(module), module.groups
        return cls(module.weight, module.bias, window, groups, transforms=transforms)

    def forward(self, x: Tensor) -> Tensor:
        window = self.window
        return functional.conv1d(
            x, *self.slices(), window.stride, self.padding, window.dilation, self.groups
        )

    def extract(self) -> nn.Conv1d:
        weight, bias = self.slices()
        plain = nn.Conv1d(
            self.inputs,
            self.outputs,
            self.kernel[0],
            self.window.stride[0],
            self.padding[0],
            self.window.dilation[0],
            self.groups,
            bias=bias is not None,
            device="meta",
        )
        plain.weight = copied(weight)
        if bias is not None:
            plain.bias = copied(bias)
        return plain
