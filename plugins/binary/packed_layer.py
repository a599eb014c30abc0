"""The binary layer as torch's programs have it: packed signs and the operator that takes them."""

from __future__ import annotations

from typing import final

from torch import Tensor, nn

from stillhouse.plugins.binary.geometry import Geometry
from stillhouse.plugins.binary.operator import binary_layout, binary_product


@final
class PackedLayer(nn.Module):
    """Answers as the `BinaryLayer` it was made from, without what that trains.

    `signs` (outputs, ceil(entries / 8)) bytes, see `signs.packed`; entries go channel by channel
    at each place of the kernel. `scale` (outputs,) in half precision, or None for 1.
    """

    signs: Tensor
    scale: Tensor | None
    threshold: Tensor
    bias: Tensor | None

    def __init__(
        self,
        geometry: Geometry,
        signs: Tensor,
        scale: Tensor | None,
        threshold: Tensor,
        bias: Tensor | None,
    ) -> None:
        super().__init__()
        self.geometry = geometry
        self.register_buffer("signs", signs)
        self.register_buffer("scale", scale)
        self.register_buffer("threshold", threshold)
        self.register_buffer("bias", bias)

    def forward(self, x: Tensor) -> Tensor:
        geometry = self.geometry
        # Of constants alone: a program works these out once, when it is loaded.
        weight = binary_layout(self.signs, bool(geometry.kernel))
        scale = None if self.scale is None else self.scale.float()
        out: Tensor = binary_product(
            x,
            self.threshold,
            weight,
            scale,
            self.bias,
            geometry.outputs,
            geometry.kernel,
            geometry.stride,
            geometry.padding,
            geometry.dilation,
        )
        return out
