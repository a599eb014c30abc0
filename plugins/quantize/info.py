"""Post-training quantisation, described without importing the code that does it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from stillhouse.core.plugin import Gain, MethodInfo, Params, hookimpl, param
from stillhouse.core.plugin.capabilities import (
    FLOAT_WEIGHTS,
    FULL_PRECISION,
    PLAIN_LAYERS,
    STUDENT,
)

SCHEMES: Final = ("none", "dynamic", "static")
CONVOLUTION_SCHEMES: Final = ("none", "static")
_AS_SCHEME: Final = "; left out: as scheme"
_TARGET: Final = "onnxruntime-cpu"
_MACHINE: Final = "Intel Xeon, AVX-512 and VNNI"
_MEASURED: Final = (
    ("keyword transformer, 64 wide, 4 blocks, 49 frames", "dynamic", 1.04, 1.04, 1.05, 0.307),
    ("keyword transformer, 64 wide, 4 blocks, 49 frames", "static", 1.04, 1.03, 1.04, 0.316),
    ("keyword transformer, 96 wide, 6 blocks, 49 frames", "dynamic", 1.3, 1.26, 1.33, 0.283),
    ("keyword transformer, 96 wide, 6 blocks, 49 frames", "static", 1.24, 1.22, 1.31, 0.287),
    ("keyword transformer, 256 wide, 6 blocks, 100 frames", "dynamic", 2.07, 1.96, 2.09, 0.263),
    ("keyword transformer, 256 wide, 6 blocks, 100 frames", "static", 1.98, 1.9, 2.03, 0.267),
    ("cnn, depthwise blocks", "dynamic", 0.99, 0.94, 1, 0.992),
    ("cnn, depthwise blocks", "static", 2.83, 2.81, 2.9, 0.333),
    ("cnn, residual blocks", "dynamic", 0.96, 0.95, 0.97, 0.994),
    ("cnn, residual blocks", "static", 1.99, 1.98, 2.01, 0.283),
    ("resnet-20, 3 x 32 x 32", "dynamic", 0.98, 0.94, 1.01, 0.998),
    ("resnet-20, 3 x 32 x 32", "static", 1.85, 1.82, 1.86, 0.264),
    ("plain-cnn, 1 x 28 x 28", "dynamic", 1, 0.99, 1, 0.945),
    ("plain-cnn, 1 x 28 x 28", "static", 1.32, 1.3, 1.33, 0.267),
)
"""Network, scheme, speed-up with its lowest and highest, share of the bytes: `docs/quantize.md`."""


class Int8Params(Params):
    """Run-file parameters of `int8`."""

    scheme: str = param(
        "dynamic",
        choices=SCHEMES,
        phase="apply",
        help="when activations are given their scales: dynamic, at every inference (linear layers "
        "only); static, from calibration inputs (convolutions too); none: float layers",
    )
    attention: str | None = param(
        None, choices=SCHEMES, phase="apply", help=f"scheme of attention projections{_AS_SCHEME}"
    )
    feed_forward: str | None = param(
        None, choices=SCHEMES, phase="apply", help=f"scheme of feed-forward layers{_AS_SCHEME}"
    )
    convolution: str | None = param(
        None, choices=CONVOLUTION_SCHEMES, phase="apply",
        help=f"scheme of convolutions{_AS_SCHEME}",
    )  # fmt: skip
    front_end: str | None = param(
        None, choices=SCHEMES, phase="apply",
        help=f"scheme of the layers that meet the input first{_AS_SCHEME}",
    )  # fmt: skip
    head: str | None = param(
        None, choices=SCHEMES, phase="apply", help=f"scheme of the layer that answers{_AS_SCHEME}"
    )
    layers: str = param(
        "*",
        phase="apply",
        searchable=False,
        help="names of the layers that may be quantised, as patterns with commas between them; "
        "! before a pattern leaves layers out",
    )
    weights: str = param(
        "auto",
        choices=("auto", "signed", "unsigned", "reduced"),
        phase="apply",
        help="numbers that weights are rounded to: signed, 255 of them; unsigned, 256 between the "
        "smallest and the largest weight; reduced, 129, which cannot overflow where a processor "
        "adds two products in 16 bits; auto: reduced on x86 without VNNI, else signed",
    )
    per_channel: bool = param(
        True, phase="apply", help="a scale for each output's weights, not one for a layer's"
    )
    samples: int = param(
        256,
        low=1,
        high=1_000_000,
        phase="apply",
        help="tuning samples that the ranges of static activations are found on",
    )
    calibration: str = param(
        "minmax",
        choices=("minmax", "entropy", "percentile"),
        phase="apply",
        help="what of a static activation's range is kept: all; what loses the least information; "
        "99.999 % of it",
    )


@hookimpl
def stillhouse_methods() -> Iterator[MethodInfo]:
    yield MethodInfo(
        name="int8",
        summary="Linear layers and convolutions in 8-bit integers, by ONNX Runtime, after training",
        build="stillhouse.plugins.quantize.int8:Int8",
        params=Int8Params,
        changes="form",
        needs=frozenset({STUDENT, FULL_PRECISION}),
        leaves=frozenset({"int8 graph"}),
        spends=frozenset({FULL_PRECISION, FLOAT_WEIGHTS, PLAIN_LAYERS}),
        speeds_up=frozenset({_TARGET}),
        measured=tuple(_gains()),
    )


def _gains() -> Iterator[Gain]:
    for network, scheme, speed_up, low, high, size in _MEASURED:
        yield Gain(
            target=_TARGET, network=network, setting=f"scheme: {scheme}", speed_up=speed_up,
            low=low, high=high, size=size, machine=_MACHINE,
        )  # fmt: skip
