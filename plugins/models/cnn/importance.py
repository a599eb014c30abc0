"""The channels of a whole network as units that can change places."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import nn

from stillhouse.core.elastic import ElasticBatchNorm, Units
from stillhouse.core.elastic.sorting import sort_channels
from stillhouse.plugins.models.cnn.elastic_blocks import ElasticBlock, ElasticDepthwiseBlock


def sort_network(units: Sequence[Units]) -> None:
    """Reorder all channels by the L1 norm of what reads them."""
    for some in units:
        sort_channels(some.producers, some.readers, repeat=some.repeat)


def channel_units(
    stem: nn.Module,
    stem_norm: nn.Module,
    blocks: Sequence[tuple[str, ElasticBlock]],
    head: nn.Module,
) -> Iterator[Units]:
    """Every block's hidden channels, and every stream of channels that blocks add to.

    A stream begins at the stem or a block that changes the shape, and ends where the next such
    block, or the head, has read it. It is called after where it begins.
    """
    name, producers, readers = "stem", [stem, stem_norm], list[nn.Module]()
    for own, block in blocks:
        hidden = tuple(_hidden(block))
        yield Units("inner_channels", own, hidden, hidden[-1:], (_last(block),))
        readers += _entries(block)
        if not _keeps(block):
            yield _stream(name, producers, readers)
            name, producers, readers = f"{own}.tap", [], []
        producers += _exits(block)
    yield _stream(name, producers, [*readers, head])


def _stream(name: str, producers: Sequence[nn.Module], readers: Sequence[nn.Module]) -> Units:
    norms = tuple(part for part in producers if isinstance(part, ElasticBatchNorm))
    return Units("channels", name, tuple(producers), norms, tuple(readers))


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
