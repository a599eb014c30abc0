"""The plain network: stages of convolutions, each ending in a max-pool, then linear layers.

After each convolution of kernel 3 comes a batch norm, which makes a bias of its own idle: it has
none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, final

from torch import Tensor, nn
from torch.nn import functional

from stillhouse.plugins.models.cnn.blocks import Conv, Norm, Tap, conv, norm
from stillhouse.plugins.models.plain_cnn.structure import (
    channels,
    hidden_width,
    input_channels,
    rung,
    sides,
    windows,
)


@final
class ConvBlock(nn.Module):
    """Convolution, batch norm, ReLU: (batch, channels, height, width) in and out."""

    def __init__(self, conv: Conv, norm: Norm) -> None:
        super().__init__()
        self.conv, self.norm, self.tap = conv, norm, Tap()

    def forward(self, x: Tensor) -> Tensor:
        return conv_block(self, x)


def conv_block(block: Any, x: Tensor) -> Tensor:
    """A block's arithmetic, plain and elastic alike."""
    x = functional.relu(block.norm(block.conv(x)))
    block.tap.show(x)
    return x


@final
class PlainCnn(nn.Module):
    """Inputs (batch, *input_shape) to logits (batch, outputs); `structure` is its shape."""

    def __init__(
        self,
        structure: Mapping[str, Any],
        stages: Iterable[Iterable[ConvBlock]],
        hidden: nn.Linear | None,
        head: nn.Linear,
    ) -> None:
        super().__init__()
        self.structure = structure
        self.stages = nn.ModuleList(nn.ModuleList(stage) for stage in stages)
        self.hidden, self.head = hidden, head

    def forward(self, x: Tensor) -> Tensor:
        return classify(self, self.structure, x)


def classify(network: Any, structure: Mapping[str, Any], x: Tensor) -> Tensor:
    """The network's arithmetic, plain and elastic alike."""
    x = x.unsqueeze(1) if x.ndim == 3 else x
    for stage, window in zip(network.stages, windows(structure), strict=True):
        for block in stage:
            x = block(x)
        x = x if window is None else functional.max_pool2d(x, window)
    x = x.flatten(1)
    x = x if network.hidden is None else functional.relu(network.hidden(x))
    logits: Tensor = network.head(x)
    return logits


def skeleton(structure: Mapping[str, Any]) -> PlainCnn:
    """The network of a structure on the meta device: every shape, no weights."""
    stages, inputs = [], input_channels(structure)
    for depth, outputs in zip(rung(structure).depths, channels(structure), strict=True):
        taken = [inputs] + [outputs] * (depth - 1)
        stages.append([ConvBlock(conv(2, width, outputs, 3), norm(2, outputs)) for width in taken])
        inputs = outputs
    height, width = sides(structure)[-1]
    flat, inside = inputs * height * width, hidden_width(structure)
    hidden = nn.Linear(flat, inside, device="meta") if inside else None
    head = nn.Linear(inside or flat, structure["outputs"], device="meta")
    return PlainCnn(structure, stages, hidden, head)
