"""Low-rank factorisation, described without importing the code that does it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from stillhouse.core.plugin import MethodInfo, Params, hookimpl, param

_AS_RANK: Final = "; left out: as rank"


class FactorizeParams(Params):
    """Run-file parameters of `factorize`. Ranks are shares of a layer's full rank."""

    rank: float = param(
        0.5, low=0.01, high=1, phase="apply", help="share of full rank; 1 leaves layers as they are"
    )
    attention: float | None = param(
        None, low=0.01, high=1, phase="apply", help=f"share for attention projections{_AS_RANK}"
    )
    feed_forward: float | None = param(
        None, low=0.01, high=1, phase="apply", help=f"share for feed-forward layers{_AS_RANK}"
    )
    convolution: float | None = param(
        None, low=0.01, high=1, phase="apply", help=f"share for convolutions{_AS_RANK}"
    )
    front_end: float = param(
        1.0, low=0.01, high=1, phase="apply", help="share for the layers that meet the input first"
    )
    head: float = param(
        1.0, low=0.01, high=1, phase="apply", help="share for the layer that answers"
    )
    layers: str = param(
        "*",
        phase="apply",
        searchable=False,
        help="names of the layers that may be factorised, as patterns with commas between them; "
        "! before a pattern leaves layers out",
    )
    samples: int = param(
        256,
        low=0,
        high=1_000_000,
        phase="apply",
        help="training samples on which a layer's answers are kept as near as the rank allows; "
        "0 keeps its weights as near",
    )
    statistics_samples: int = param(
        1000,
        low=0,
        high=1_000_000,
        phase="apply",
        help="training samples for the batch-norm statistics of the factorised network; 0 keeps "
        "those of the whole one",
    )


@hookimpl
def stillhouse_methods() -> Iterator[MethodInfo]:
    yield MethodInfo(
        name="factorize",
        summary="Two thin layers for each linear layer and convolution, where that saves weights",
        build="stillhouse.plugins.factorize.factorize:Factorize",
        params=FactorizeParams,
        changes="form",
        needs=frozenset({"student", "float weights", "dense weights", "full precision"}),
        spends=frozenset({"plain layers"}),
        # 1.06 to 1.36 times at a quarter of full rank, none at three quarters: docs/factorize.md.
        speeds_up=frozenset({"onnxruntime-cpu"}),
    )
