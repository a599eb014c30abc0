"""Quantisation-aware training, described without importing the code that does it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from stillhouse.core.plugin import Gain, MethodInfo, Params, hookimpl, param

_CHOICES: Final = (32, 8, 7, 4)
_AS_BITS: Final = "; left out: as bits"
_AT_LEAST_8: Final = "; left out: as bits, and 8 instead of 4"


class QatParams(Params):
    """Run-file parameters of `qat`. Bits of 32 leave layers as they are."""

    bits: int = param(
        8,
        choices=_CHOICES,
        phase="apply",
        help="bits of a weight; 7 where the processor's kernels saturate at 8 (x86 without VNNI), "
        "32 leaves layers as they are",
    )
    attention: int | None = param(
        None, choices=_CHOICES, phase="apply", help=f"bits of attention projections{_AS_BITS}"
    )
    feed_forward: int | None = param(
        None, choices=_CHOICES, phase="apply", help=f"bits of feed-forward layers{_AS_BITS}"
    )
    convolution: int | None = param(
        None, choices=_CHOICES, phase="apply", help=f"bits of convolutions{_AS_BITS}"
    )
    front_end: int | None = param(
        None,
        choices=_CHOICES,
        phase="apply",
        help=f"bits of the layers that meet the input first{_AT_LEAST_8}",
    )
    head: int | None = param(
        None, choices=_CHOICES, phase="apply", help=f"bits of the layer that answers{_AT_LEAST_8}"
    )
    layers: str = param(
        "*",
        phase="apply",
        searchable=False,
        help="names of the layers that may be quantised, as patterns with commas between them; "
        "! before a pattern leaves layers out",
    )
    activations: bool = param(
        True,
        phase="apply",
        help="quantise what enters a layer to 8 bits too, for integer kernels; without, weights "
        "are only stored small",
    )
    samples: int = param(
        256,
        low=1,
        high=1_000_000,
        phase="apply",
        help="training samples from which the ranges of activations are first taken",
    )


def _gain(network: str, bits: int, speed_up: float, low: float, high: float, size: float) -> Gain:
    return Gain(
        target="onnxruntime-cpu",
        network=network,
        setting=f"bits: {bits}",
        speed_up=speed_up,
        low=low,
        high=high,
        size=size,
        machine="Intel Xeon, AVX-512 and VNNI",
    )


_MEASURED: Final = (
    _gain("keyword transformer, 64 wide, 4 blocks", 8, 1.07, 1.03, 1.11, 0.32),
    _gain("keyword transformer, 64 wide, 4 blocks", 4, 1.04, 1.03, 1.11, 0.20),
    _gain("keyword transformer, 96 wide, 6 blocks", 8, 1.27, 1.25, 1.32, 0.29),
    _gain("keyword transformer, 96 wide, 6 blocks", 4, 1.30, 1.27, 1.34, 0.17),
    _gain("keyword transformer, 256 wide, 6 blocks, 100 frames", 8, 2.01, 1.97, 2.24, 0.26),
    _gain("keyword transformer, 256 wide, 6 blocks, 100 frames", 4, 1.98, 1.96, 2.23, 0.14),
    _gain("cnn, depthwise blocks, 1-D", 8, 2.54, 2.47, 2.60, 0.35),
    _gain("cnn, depthwise blocks, 1-D", 4, 2.70, 2.54, 2.76, 0.25),
    _gain("cnn, residual blocks, 1-D", 8, 1.64, 1.55, 1.65, 0.29),
    _gain("cnn, residual blocks, 1-D", 4, 1.69, 1.54, 1.77, 0.18),
    _gain("resnet-20, 3 x 32 x 32", 8, 1.55, 1.54, 1.59, 0.27),
    _gain("resnet-20, 3 x 32 x 32", 4, 1.60, 1.56, 1.62, 0.15),
)
"""Medians over three fresh processes: docs/qat.md."""


@hookimpl
def stillhouse_methods() -> Iterator[MethodInfo]:
    yield MethodInfo(
        name="qat",
        summary="Train with weights and activations rounded to integers; exported as int8",
        build="stillhouse.plugins.qat.qat:Qat",
        params=QatParams,
        changes="form",
        needs=frozenset({"student", "float weights", "full precision"}),
        leaves=frozenset({"int8 layers"}),
        spends=frozenset({"full precision", "plain layers"}),
        speeds_up=frozenset({"onnxruntime-cpu"}),
        measured=_MEASURED,
    )
