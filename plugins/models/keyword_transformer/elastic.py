"""The elastic twin: the full network's weights, of which a subnet uses a slice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self, final

from torch import Tensor, nn

from stillhouse.core.elastic import (
    ElasticAttention,
    ElasticEmbedding,
    ElasticFeedForward,
    ElasticLayerNorm,
    ElasticLinear,
    Units,
)
from stillhouse.core.evaluate import ElasticModule
from stillhouse.plugins.models.keyword_transformer.network import (
    FAMILY,
    Block,
    KeywordTransformer,
    classify,
    residual,
)
from stillhouse.plugins.models.transformer.genes import complete, gene_values, subnet
from stillhouse.plugins.models.transformer.pruning import layer_units


def kept_blocks(depth: int) -> range:
    """Which full blocks a subnet of `depth` runs: the first ones, as once-for-all does.

    Cai et al. 2020, sec. 3.1. Layer genes are listed by position among the kept blocks, and
    because these are a prefix, the tap "blocks.i" means the same in supernet and subnet.
    """
    return range(depth)


@final
class ElasticBlock(nn.Module):
    """`Block` with elastic width, heads and hidden features."""

    def __init__(self, plain: Block) -> None:
        super().__init__()
        self.norm1 = ElasticLayerNorm.from_plain(plain.norm1)
        self.attention = ElasticAttention.from_plain(plain.attention)
        self.norm2 = ElasticLayerNorm.from_plain(plain.norm2)
        self.feed_forward = ElasticFeedForward.from_plain(plain.feed_forward)

    def set_active(self, width: int, heads: int, hidden: int) -> None:
        self.norm1.set_active(width)
        self.attention.set_active(width, heads)
        self.norm2.set_active(width)
        self.feed_forward.set_active(width, hidden)

    def forward(self, x: Tensor) -> Tensor:
        return residual(x, self.norm1, self.attention, self.norm2, self.feed_forward)

    def extract(self) -> Block:
        return Block(
            self.norm1.extract(),
            self.attention.extract(),
            self.norm2.extract(),
            self.feed_forward.extract(),
        )


@final
class ElasticKeywordTransformer(ElasticModule):
    """A `KeywordTransformer` whose width, depth, heads and hidden features can be chosen.

    State dict keys and shapes are those of the plain network it was made from.
    """

    def __init__(self, plain: KeywordTransformer) -> None:
        super().__init__()
        self._full_structure = self._structure = dict(plain.structure)
        self.full = gene_values(plain.structure)
        self._active = dict(self.full)
        self.frames = ElasticLinear.from_plain(plain.frames)
        self.positions = ElasticEmbedding.from_plain(plain.positions)
        self.blocks = nn.ModuleList(ElasticBlock(b) for b in plain.blocks if isinstance(b, Block))
        self.norm = ElasticLayerNorm.from_plain(plain.norm)
        self.head = ElasticLinear.from_plain(plain.head)

    @classmethod
    def from_plain(cls, plain: KeywordTransformer) -> Self:
        return cls(plain).train(plain.training)

    def set_active(self, configuration: Mapping[str, Any]) -> None:
        """Absent genes take the full network's values; per-layer genes may be one number.

        Raises `UserError` (a ValueError), leaving the active slice as it was.
        """
        full = self._full_structure
        structure = subnet(FAMILY, full, configuration)
        width = structure["width"]
        self.frames.set_active(self.frames.weight.shape[1], width)
        self.positions.set_active(width)
        self.norm.set_active(width)
        self.head.set_active(width, self.head.weight.shape[0])
        blocks = self._kept(structure["depth"])
        layers = zip(blocks, structure["heads"], structure["hidden"], strict=True)
        for block, heads, hidden in layers:
            block.set_active(width, heads, hidden)
        self._structure, self._active = structure, complete(FAMILY, full, configuration)

    def units(self) -> list[Units]:
        blocks = self._kept(len(self.blocks))
        return [
            found
            for place, block in enumerate(blocks)
            for found in layer_units(f"blocks.{place}", block.attention, block.feed_forward)
        ]

    def _kept(self, depth: int) -> list[ElasticBlock]:
        blocks = (self.blocks[i] for i in kept_blocks(depth))
        return [block for block in blocks if isinstance(block, ElasticBlock)]

    def active(self) -> Mapping[str, Any]:
        return dict(self._active)

    def forward(self, x: Tensor) -> Tensor:
        positions = self.positions.table()
        blocks = self._kept(self._structure["depth"])
        return classify(x, self.frames, positions, blocks, self.norm, self.head)

    def structure(self, configuration: Mapping[str, Any]) -> dict[str, Any]:
        """The structure a configuration extracts to; `UserError` outside the full network."""
        return subnet(FAMILY, self._full_structure, configuration)

    def extract(self) -> KeywordTransformer:
        blocks = self._kept(self._structure["depth"])
        return KeywordTransformer(
            dict(self._structure),
            self.frames.extract(),
            self.positions.extract(),
            [block.extract() for block in blocks],
            self.norm.extract(),
            self.head.extract(),
        ).train(self.training)
