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
)
from stillhouse.core.evaluate import ElasticModule
from stillhouse.plugins.models.keyword_transformer.genes import (
    complete,
    gene_values,
    hidden_width,
)
from stillhouse.plugins.models.keyword_transformer.network import (
    Block,
    KeywordTransformer,
    classify,
    residual,
)


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
        self.full_structure = plain.structure
        self.full = gene_values(plain.structure)
        self.frames = ElasticLinear.from_plain(plain.frames)
        self.positions = ElasticEmbedding.from_plain(plain.positions)
        self.blocks = nn.ModuleList(ElasticBlock(b) for b in plain.blocks if isinstance(b, Block))
        self.norm = ElasticLayerNorm.from_plain(plain.norm)
        self.head = ElasticLinear.from_plain(plain.head)
        self._active = dict(self.full)

    @classmethod
    def from_plain(cls, plain: KeywordTransformer) -> Self:
        return cls(plain).train(plain.training)

    def set_active(self, configuration: Mapping[str, Any]) -> None:
        """Absent genes take the full network's values; per-layer genes may be one number.

        Raises `UserError` (a ValueError) and keeps the configuration it had.
        """
        genes, before = complete(configuration, self.full), self._active
        try:
            self._slice(genes)
        except ValueError:
            self._slice(before)
            raise
        self._active = genes

    def _slice(self, genes: Mapping[str, Any]) -> None:
        width = int(genes["width"])
        self.frames.set_active(self.frames.weight.shape[1], width)
        self.positions.set_active(width)
        for block, heads, ratio in zip(
            self._running(genes["depth"]), genes["heads"], genes["ffn_ratio"], strict=True
        ):
            block.set_active(width, int(heads), int(hidden_width(ratio, width)))
        self.norm.set_active(width)
        self.head.set_active(width, self.head.weight.shape[0])

    def _running(self, depth: int) -> list[ElasticBlock]:
        blocks = (self.blocks[i] for i in kept_blocks(int(depth)))
        return [block for block in blocks if isinstance(block, ElasticBlock)]

    def active(self) -> Mapping[str, Any]:
        return dict(self._active)

    def forward(self, x: Tensor) -> Tensor:
        blocks = self._running(self._active["depth"])
        return classify(x, self.frames, self.positions.table(), blocks, self.norm, self.head)

    def structure(self, configuration: Mapping[str, Any]) -> dict[str, Any]:
        """The structure a configuration extracts to; `UserError` outside the full network."""
        genes = complete(configuration, self.full)
        width = int(genes["width"])
        return {
            **self.full_structure,
            "width": width,
            "depth": int(genes["depth"]),
            "heads": [int(heads) for heads in genes["heads"]],
            "hidden": [int(hidden_width(ratio, width)) for ratio in genes["ffn_ratio"]],
        }

    def extract(self) -> KeywordTransformer:
        return KeywordTransformer(
            self.structure(self._active),
            self.frames.extract(),
            self.positions.extract(),
            [block.extract() for block in self._running(self._active["depth"])],
            self.norm.extract(),
            self.head.extract(),
        ).train(self.training)
