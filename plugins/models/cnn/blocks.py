"""Blocks of convolutional networks: residual ones, depthwise ones, and what shows their outputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, final

from torch import Tensor, nn
from torch.nn import functional

from stillhouse.plugins.models.cnn.structure import keeps_shape, stage_width, stride

Conv = nn.Conv1d | nn.Conv2d
Norm = nn.BatchNorm1d | nn.BatchNorm2d
CONVS: Final[Mapping[int, type[Conv]]] = {1: nn.Conv1d, 2: nn.Conv2d}
NORMS: Final[Mapping[int, type[Norm]]] = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d}


@final
class Tap(nn.Module):
    """Shows a block's output to whoever hooks this module, as (batch, *positions, channels).

    It runs under a hook only, and nothing reads what it returns: it costs nothing, and an export
    does not hold it.
    """

    def forward(self, x: Tensor) -> Tensor:
        return x.movedim(1, -1)

    def show(self, x: Tensor) -> None:
        if self._forward_hooks:
            self(x)


@final
class DepthwiseBlock(nn.Module):
    """Expand, convolve each channel, project; `keeps` adds what came in."""

    def __init__(
        self,
        expand: Conv,
        norm1: Norm,
        depthwise: Conv,
        norm2: Norm,
        project: Conv,
        norm3: Norm,
        *,
        keeps: bool,
    ) -> None:
        super().__init__()
        self.expand, self.norm1 = expand, norm1
        self.depthwise, self.norm2 = depthwise, norm2
        self.project, self.norm3 = project, norm3
        self.keeps, self.tap = keeps, Tap()

    def forward(self, x: Tensor) -> Tensor:
        return depthwise_block(self, x)


def depthwise_block(block: Any, x: Tensor) -> Tensor:
    """(batch, channels, *positions) in and out, plain and elastic alike."""
    hidden = functional.relu(block.norm1(block.expand(x)))
    hidden = functional.relu(block.norm2(block.depthwise(hidden)))
    out: Tensor = block.norm3(block.project(hidden))
    out = x + out if block.keeps else out
    block.tap.show(out)
    return out


@final
class ResidualBlock(nn.Module):
    """Two convolutions, added to what came in or, where the shape changes, to its projection."""

    def __init__(
        self,
        conv1: Conv,
        norm1: Norm,
        conv2: Conv,
        norm2: Norm,
        shortcut: Conv | None,
        shortcut_norm: Norm | None,
    ) -> None:
        super().__init__()
        self.conv1, self.norm1, self.conv2, self.norm2 = conv1, norm1, conv2, norm2
        self.shortcut, self.shortcut_norm, self.tap = shortcut, shortcut_norm, Tap()

    def forward(self, x: Tensor) -> Tensor:
        return residual_block(self, x)


def residual_block(block: Any, x: Tensor) -> Tensor:
    """(batch, channels, *positions) in and out, plain and elastic alike."""
    out = block.norm2(block.conv2(functional.relu(block.norm1(block.conv1(x)))))
    if block.shortcut is not None:
        x = block.shortcut_norm(block.shortcut(x))
    out = functional.relu(out + x)
    block.tap.show(out)
    return out


Block = DepthwiseBlock | ResidualBlock


def block_of(structure: Mapping[str, Any], stage: int, place: int) -> Block:
    before = stage_width(structure, max(0, stage - 1 if place == 0 else stage), structure["width"])
    outputs = int(stage_width(structure, stage, structure["width"]))
    make = _depthwise if structure["block"] == "depthwise" else _residual
    return make(structure, stage, place, int(before), outputs)


def _depthwise(
    structure: Mapping[str, Any], stage: int, place: int, inputs: int, outputs: int
) -> DepthwiseBlock:
    d, hidden = structure["dimensions"], structure["hidden"][stage][place]
    kernel, step = structure["kernel"][stage][place], stride(structure, stage, place)
    return DepthwiseBlock(
        conv(d, inputs, hidden, 1),
        norm(d, hidden),
        conv(d, hidden, hidden, kernel, step, groups=hidden),
        norm(d, hidden),
        conv(d, hidden, outputs, 1),
        norm(d, outputs),
        keeps=keeps_shape(structure, stage, place),
    )


def _residual(
    structure: Mapping[str, Any], stage: int, place: int, inputs: int, outputs: int
) -> ResidualBlock:
    d, hidden = structure["dimensions"], structure["hidden"][stage][place]
    kernel, step = structure["kernel"][stage][place], stride(structure, stage, place)
    same = keeps_shape(structure, stage, place)
    return ResidualBlock(
        conv(d, inputs, hidden, kernel, step),
        norm(d, hidden),
        conv(d, hidden, outputs, kernel),
        norm(d, outputs),
        None if same else conv(d, inputs, outputs, 1, step),
        None if same else norm(d, outputs),
    )


def conv(
    dimensions: int, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1
) -> Conv:
    return CONVS[dimensions](
        inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False, device="meta"
    )


def norm(dimensions: int, width: int) -> Norm:
    return NORMS[dimensions](width, device="meta")
