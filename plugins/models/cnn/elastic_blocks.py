"""Elastic twins of the blocks; kernels shrink through learned transforms."""

from __future__ import annotations

from typing import final

from torch import Tensor, nn

from stillhouse.core.elastic import ElasticBatchNorm, ElasticConv1d, ElasticConv2d
from stillhouse.plugins.models.cnn.blocks import (
    Block,
    Conv,
    DepthwiseBlock,
    ResidualBlock,
    Tap,
    depthwise_block,
    residual_block,
)

ElasticConv = ElasticConv1d | ElasticConv2d


def elastic_conv(plain: Conv, *, transforms: bool = False) -> ElasticConv:
    if isinstance(plain, nn.Conv1d):
        return ElasticConv1d.from_plain(plain, transforms=transforms)
    return ElasticConv2d.from_plain(plain, transforms=transforms)


@final
class ElasticDepthwiseBlock(nn.Module):
    """`DepthwiseBlock` with elastic channels and kernel."""

    def __init__(self, plain: DepthwiseBlock) -> None:
        super().__init__()
        self.expand = elastic_conv(plain.expand)
        self.norm1 = ElasticBatchNorm.from_plain(plain.norm1)
        self.depthwise = elastic_conv(plain.depthwise, transforms=True)
        self.norm2 = ElasticBatchNorm.from_plain(plain.norm2)
        self.project = elastic_conv(plain.project)
        self.norm3 = ElasticBatchNorm.from_plain(plain.norm3)
        self.keeps, self.tap = plain.keeps, Tap()

    def set_active(self, inputs: int, outputs: int, hidden: int, kernel: int) -> None:
        self.expand.set_active(inputs, hidden)
        self.norm1.set_active(hidden)
        self.depthwise.set_active(hidden, hidden, kernel)
        self.norm2.set_active(hidden)
        self.project.set_active(hidden, outputs)
        self.norm3.set_active(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return depthwise_block(self, x)

    def extract(self) -> DepthwiseBlock:
        return DepthwiseBlock(
            self.expand.extract(),
            self.norm1.extract(),
            self.depthwise.extract(),
            self.norm2.extract(),
            self.project.extract(),
            self.norm3.extract(),
            keeps=self.keeps,
        )


@final
class ElasticResidualBlock(nn.Module):
    """`ResidualBlock` with elastic channels and kernel."""

    def __init__(self, plain: ResidualBlock) -> None:
        super().__init__()
        self.conv1 = elastic_conv(plain.conv1, transforms=True)
        self.norm1 = ElasticBatchNorm.from_plain(plain.norm1)
        self.conv2 = elastic_conv(plain.conv2, transforms=True)
        self.norm2 = ElasticBatchNorm.from_plain(plain.norm2)
        self.shortcut = None if plain.shortcut is None else elastic_conv(plain.shortcut)
        norm = plain.shortcut_norm
        self.shortcut_norm = None if norm is None else ElasticBatchNorm.from_plain(norm)
        self.tap = Tap()

    def set_active(self, inputs: int, outputs: int, hidden: int, kernel: int) -> None:
        self.conv1.set_active(inputs, hidden, kernel)
        self.norm1.set_active(hidden)
        self.conv2.set_active(hidden, outputs, kernel)
        self.norm2.set_active(outputs)
        if self.shortcut is not None and self.shortcut_norm is not None:
            self.shortcut.set_active(inputs, outputs)
            self.shortcut_norm.set_active(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return residual_block(self, x)

    def extract(self) -> ResidualBlock:
        return ResidualBlock(
            self.conv1.extract(),
            self.norm1.extract(),
            self.conv2.extract(),
            self.norm2.extract(),
            None if self.shortcut is None else self.shortcut.extract(),
            None if self.shortcut_norm is None else self.shortcut_norm.extract(),
        )


ElasticBlock = ElasticDepthwiseBlock | ElasticResidualBlock


def elastic_block(plain: Block) -> ElasticBlock:
    if isinstance(plain, DepthwiseBlock):
        return ElasticDepthwiseBlock(plain)
    return ElasticResidualBlock(plain)
