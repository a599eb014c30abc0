"""How a layer's matrix meets its input: at every position, or over windows of a convolution."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self, final

from torch import Tensor, nn
from torch.nn import functional

Plain = nn.Linear | nn.Conv1d | nn.Conv2d


@final
@dataclass(frozen=True)
class Geometry:
    """Shape of a layer of one matrix without groups.

    `kernel`, `stride` and `dilation` have one number for each dimension that is convolved over,
    none of a linear layer. `padding` has two for each, of the last dimension first, as
    `functional.pad` takes them.
    """

    inputs: int
    outputs: int
    kernel: tuple[int, ...] = ()
    stride: tuple[int, ...] = ()
    padding: tuple[int, ...] = ()
    dilation: tuple[int, ...] = ()

    @classmethod
    def of(cls, layer: Plain) -> Self:
        """Raises ValueError for a convolution whose padding is not one number on each side."""
        if isinstance(layer, nn.Linear):
            return cls(layer.in_features, layer.out_features)
        if layer.padding_mode != "zeros":
            raise ValueError(f"it pads by mode '{layer.padding_mode}'")
        sizes = (tuple(layer.kernel_size), tuple(layer.stride), _padding(layer))
        return cls(layer.in_channels, layer.out_channels, *sizes, tuple(layer.dilation))

    @property
    def entries(self) -> int:
        """Weights of one output."""
        count = self.inputs
        for size in self.kernel:
            count *= size
        return count

    def beside_channels(self, values: Tensor) -> Tensor:
        """(channels,) so that it broadcasts over this layer's inputs or outputs."""
        return values.reshape(-1, *(1 for _ in self.kernel))

    def product(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        """The layer over inputs that are padded already; `weight` is as torch's layers have it."""
        if len(self.kernel) == 1:
            return functional.conv1d(x, weight, bias, self.stride, 0, self.dilation)
        if self.kernel:
            return functional.conv2d(x, weight, bias, self.stride, 0, self.dilation)
        return functional.linear(x, weight, bias)


def _padding(layer: nn.Conv1d | nn.Conv2d) -> tuple[int, ...]:
    if layer.padding == "valid":
        return (0, 0) * len(layer.kernel_size)
    sides: list[int] = []
    for place in reversed(range(len(layer.kernel_size))):
        if isinstance(layer.padding, str):
            whole = layer.dilation[place] * (layer.kernel_size[place] - 1)
            sides += [whole // 2, whole - whole // 2]
        else:
            sides += [layer.padding[place]] * 2
    return tuple(sides)
