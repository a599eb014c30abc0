"""The plain convolutional network: stem, stages of blocks, mean over positions, head.

Residual blocks are ResNet's (He et al. 2016), with a projection where the shape changes. Depthwise
ones are MobileNetV2's (Sandler et al. 2018) with ReLU; its last pointwise convolution is left out,
ReLU before pooling takes its place.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, final

from torch import Tensor, nn
from torch.nn import functional

from stillhouse.plugins.models.cnn.blocks import Block, Conv, Norm, block_of, conv, norm
from stillhouse.plugins.models.cnn.structure import input_channels, stage_width


@final
class Cnn(nn.Module):
    """Inputs (batch, *input_shape) to logits (batch, outputs); `structure` is its shape."""

    def __init__(
        self,
        structure: Mapping[str, Any],
        stem: Conv,
        stem_norm: Norm,
        stages: Iterable[Iterable[Block]],
        head: nn.Linear,
    ) -> None:
        super().__init__()
        self.structure = structure
        self.stem, self.stem_norm = stem, stem_norm
        self.stages = nn.ModuleList(nn.ModuleList(stage) for stage in stages)
        self.head = head

    def forward(self, x: Tensor) -> Tensor:
        blocks = [block for stage in self.stages for block in blocks_of(stage)]
        return classify(self, self.structure, blocks, x)


def blocks_of(stage: nn.Module) -> list[Block]:
    return [block for block in stage.children() if isinstance(block, Block)]


def classify(
    network: Any, structure: Mapping[str, Any], blocks: Iterable[nn.Module], x: Tensor
) -> Tensor:
    """The network's arithmetic, plain and elastic alike."""
    x = _channels_first(x, structure["dimensions"])
    x = functional.relu(network.stem_norm(network.stem(x)))
    for block in blocks:
        x = block(x)
    if structure["block"] == "depthwise":
        x = functional.relu(x)
    logits: Tensor = network.head(x.mean(tuple(range(2, x.ndim))))
    return logits


def _channels_first(x: Tensor, dimensions: int) -> Tensor:
    if dimensions == 1:
        return x.transpose(1, 2)
    return x.unsqueeze(1) if x.ndim == 3 else x


def skeleton(structure: Mapping[str, Any]) -> Cnn:
    """The network of a structure on the meta device: every shape, no weights."""
    dimensions, width = structure["dimensions"], structure["width"]
    last = int(stage_width(structure, len(structure["strides"]) - 1, width))
    return Cnn(
        structure,
        conv(dimensions, input_channels(structure), width, structure["stem"]),
        norm(dimensions, width),
        [
            [block_of(structure, stage, place) for place in range(depth)]
            for stage, depth in enumerate(structure["depth"])
        ],
        nn.Linear(last, structure["outputs"], device="meta"),
    )
