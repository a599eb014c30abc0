"""Automatic search spaces of families whose own package needs torch."""

from __future__ import annotations

from stillhouse.core.space.automatic import Dimensions, automatic
from stillhouse.plugins.models.info import KeywordTransformerParams


def keyword_transformer(params: KeywordTransformerParams) -> Dimensions:
    """From half to the whole of the full network's width, depth, heads and feed-forward ratio."""
    return automatic(
        width=params.width, depth=params.depth, heads=params.heads, ffn_ratio=params.ffn_ratio
    )
