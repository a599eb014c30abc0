"""Binary layers, described without importing the code that makes them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from stillhouse.core.plugin import MethodInfo, Params, hookimpl, param
from stillhouse.core.plugin.capabilities import (
    DENSE_WEIGHTS,
    FLOAT_WEIGHTS,
    FULL_PRECISION,
    PLAIN_LAYERS,
    STUDENT,
)
from stillhouse.core.plugin.records import Gain


class BinaryParams(Params):
    """Run-file parameters of `binary`."""

    attention: bool = param(True, phase="apply", help="make attention projections binary")
    feed_forward: bool = param(True, phase="apply", help="make feed-forward layers binary")
    convolution: bool = param(True, phase="apply", help="make convolutions binary")
    front_end: bool = param(
        False, phase="apply", help="make the layers that meet the input first binary"
    )
    head: bool = param(False, phase="apply", help="make the layer that answers binary")
    layers: str = param(
        "*",
        phase="apply",
        searchable=False,
        help="names of the layers that may be binary, as patterns with commas between them; "
        "! before a pattern leaves layers out",
    )
    clip: float = param(
        1.25,
        low=0.1,
        high=10,
        phase="apply",
        help="weights and inputs have a gradient up to this size; training keeps weights within",
    )
    scale: bool = param(
        True,
        phase="apply",
        help="multiply each output by the mean size of its weights; false leaves them at 1",
    )
    samples: int = param(
        256,
        low=0,
        high=1_000_000,
        phase="apply",
        help="training samples for the inputs' thresholds and for batch-norm statistics; 0 cuts "
        "inputs at 0 and keeps the statistics",
    )


_MEASURED: Final = tuple(
    Gain(
        target=target,
        network=network,
        setting="defaults: all but the first and last layers",
        speed_up=speed_up,
        low=low,
        high=high,
        size=size,
        machine="Intel Xeon, AVX-512 and VNNI",
    )
    for target, network, speed_up, low, high, size in (
        ("onnxruntime-cpu", "keyword-transformer, 64 wide, 4 blocks", 0.72, 0.7, 0.73, 0.134),
        ("onnxruntime-cpu", "keyword-transformer, 96 wide, 6 blocks", 0.79, 0.77, 0.79, 0.087),
        ("onnxruntime-cpu", "keyword-transformer, 256 wide, 6 blocks", 0.87, 0.81, 0.89, 0.048),
        ("onnxruntime-cpu", "cnn, residual blocks", 0.65, 0.61, 0.65, 0.139),
        ("onnxruntime-cpu", "resnet-20, 3 x 32 x 32", 0.5, 0.48, 0.51, 0.058),
        ("torch-cpu", "keyword-transformer, 64 wide, 4 blocks", 0.91, 0.91, 0.92, 0.134),
        ("torch-cpu", "keyword-transformer, 96 wide, 6 blocks", 1.16, 1.13, 1.17, 0.087),
        ("torch-cpu", "keyword-transformer, 256 wide, 6 blocks", 2.98, 2.86, 3.0, 0.048),
        ("torch-cpu", "cnn, residual blocks", 1.0, 0.98, 1.01, 0.16),
        ("torch-cpu", "resnet-20, 3 x 32 x 32", 2.15, 2.15, 2.23, 0.069),
    )
)
"""Of three to six fresh processes each; docs/binary.md says how, and what the kernel does alone."""


@hookimpl
def stillhouse_methods() -> Iterator[MethodInfo]:
    yield MethodInfo(
        name="binary",
        summary="Weights and inputs of 1 bit, stored packed, computed by XNOR and popcount",
        build="stillhouse.plugins.binary.binary:Binary",
        params=BinaryParams,
        changes="form",
        needs=frozenset({STUDENT, FLOAT_WEIGHTS, DENSE_WEIGHTS, FULL_PRECISION}),
        spends=frozenset({FULL_PRECISION, PLAIN_LAYERS, DENSE_WEIGHTS}),
        leaves=frozenset({"binary layers"}),
        speeds_up=frozenset({"torch-cpu"}),
        measured=_MEASURED,
    )
