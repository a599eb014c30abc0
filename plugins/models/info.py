"""The built-in model families, as records that cost nothing to read."""

from __future__ import annotations

from collections.abc import Iterator

from stillhouse.core.plugin import ModelInfo, Params, hookimpl, param


class KeywordTransformerParams(Params):
    """The full network's shape."""

    width: int = param(96, low=8, high=1024, help="features per frame inside the network")
    depth: int = param(6, low=1, high=24, help="number of transformer blocks")
    heads: int = param(6, low=1, high=32, help="attention heads in each block")
    head_dim: int = param(16, low=4, high=128, help="features per attention head")
    ffn_ratio: float = param(
        2.0, low=0.25, high=8, help="hidden features of the feed-forward layer, as a share of width"
    )
    activation: str = param(
        "gelu", choices=("gelu", "relu"), help="nonlinearity of the feed-forward layer"
    )


@hookimpl
def stillhouse_models() -> Iterator[ModelInfo]:
    yield ModelInfo(
        name="keyword-transformer",
        summary="Transformer encoder over feature frames that answers with one label",
        build="stillhouse.plugins.models.keyword_transformer:KeywordTransformerFamily",
        params=KeywordTransformerParams,
    )
