"""Channels of a whole network in the order of their importance."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from stillhouse.core.elastic.sorting import sort_channels
from stillhouse.plugins.models.cnn.elastic_blocks import ElasticBlock, ElasticDepthwiseBlock


def sort_network(
    stem: nn.Module, stem_norm: nn.Module, blocks: Sequence[ElasticBlock], head: nn.Module
) -> None:
    """Sort every block's hidden channels, and every stream of channels that blocks add to.

    A stream begins at the stem or a block that changes the shape, and ends where the next such
    block, or the head, has read it.
    """
    producers: list[nn.Module] = [stem, stem_norm]
    consumers: list[nn.Module] = []
    for block in blocks:
        sort_channels(_hidden(block), [_last(block)])
        consumers += _entries(block)
        if not _keeps(block):
            sort_channels(producers, consumers)
            producers, consumers = [], []
        producers += _exits(block)
    sort_channels(producers, [*consumers, head])


def _hidden(block: ElasticBlock) -> list[nn.Module]:
    """What gives a block's hidden channels, and what lies on their way."""
    if isinstance(block, ElasticDepthwiseBlock):
        return [block.expand, block.norm1, block.depthwise, block.norm2]
    return [block.conv1, block.norm1]


def _last(block: ElasticBlock) -> nn.Module:
    return block.project if isinstance(block, ElasticDepthwiseBlock) else block.conv2


def _entries(block: ElasticBlock) -> list[nn.Module]:
    """What reads the channels that a block takes."""
    if isinstance(block, ElasticDepthwiseBlock):
        return [block.expand]
    return [block.conv1, *filter(None, [block.shortcut])]


def _exits(block: ElasticBlock) -> list[nn.Module]:
    """What gives the channels that a block gives."""
    if isinstance(block, ElasticDepthwiseBlock):
        return [block.project, block.norm3]
    shortcut = filter(None, [block.shortcut, block.shortcut_norm])
    return [block.conv2, block.norm2, *shortcut]


def _keeps(block: ElasticBlock) -> bool:
    if isinstance(block, ElasticDepthwiseBlock):
        return block.keeps
    return block.shortcut is None
