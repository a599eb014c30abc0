"""Low-rank factorisation, described without importing the code that does it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from stillhouse.core.plugin import Gain, MethodInfo, Params, hookimpl, param

_AS_RANK: Final = "; left out: as rank"
_TARGET: Final = "onnxruntime-cpu"
_RANKS: Final = (0.75, 0.5, 0.25, 0.125)
_MEASURED: Final = {
    "keyword transformer, 64 wide, 4 blocks": ((1.00, 1.05, 1.19, 1.24), (1.00, 0.77, 0.43, 0.26)),
    "keyword transformer, 96 wide, 6 blocks": ((0.99, 1.11, 1.36, 1.57), (1.00, 0.76, 0.40, 0.22)),
    "cnn, depthwise blocks": ((0.97, 1.02, 1.06, 1.08), (0.96, 0.71, 0.45, 0.32)),
    "cnn, residual blocks, 1-D": ((0.94, 1.02, 1.15, 1.21), (0.92, 0.65, 0.36, 0.22)),
    "resnet-20, 3 x 32 x 32": ((0.84, 1.03, 1.11, 1.15), (0.85, 0.57, 0.29, 0.15)),
}
"""Speed-ups and sizes of ONNX files at each of the ranks; docs/factorize.md says how measured."""


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
        speeds_up=frozenset({_TARGET}),
        measured=tuple(_gains()),
    )


def _gains() -> Iterator[Gain]:
    """One number a cell: the spread of the processes was not kept."""
    for network, columns in _MEASURED.items():
        for rank, speed_up, size in zip(_RANKS, *columns, strict=True):
            yield Gain(
                target=_TARGET, network=network, setting=f"rank {rank:g}", speed_up=speed_up,
                low=speed_up, high=speed_up, size=size, machine="x86 processor",
            )  # fmt: skip
