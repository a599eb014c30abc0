"""A 2-d convolution over the first channels and the centre of its kernel."""

from __future__ import annotations

from typing import Self, cast, final

from torch import Tensor, nn
from torch.nn import functional

from stillhouse.core.elastic.convolution import ElasticConv, window_of
from stillhouse.core.elastic.copies import copied

Pair = tuple[int, int]


@final
class ElasticConv2d(ElasticConv):
    """`nn.Conv2d` with elastic channels and kernel: (batch, inputs, height, width) in and out."""

    @classmethod
    def from_plain(cls, module: nn.Conv2d, *, transforms: bool = False) -> Self:
        """Raises ValueError for padding with non-zeros or of unequal sides."""
        window, groups = window_of(module), module.groups
        return cls(module.weight, module.bias, window, groups, transforms=transforms)

    def forward(self, x: Tensor) -> Tensor:
        window = self.window
        return functional.conv2d(
            x, *self.slices(), window.stride, self.padding, window.dilation, self.groups
        )

    def extract(self) -> nn.Conv2d:
        weight, bias = self.slices()
        plain = nn.Conv2d(
            self.inputs,
            self.outputs,
            cast("Pair", self.kernel),
            cast("Pair", self.window.stride),
            cast("Pair", self.padding),
            cast("Pair", self.window.dilation),
            self.groups,
            bias=bias is not None,
            device="meta",
        )
        plain.weight = copied(weight)
        if bias is not None:
            plain.bias = copied(bias)
        return plain
