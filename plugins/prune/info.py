"""Structured pruning, described without importing the code that does it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal

from stillhouse.core.plugin import Gain, MethodInfo, Params, hookimpl, param
from stillhouse.core.plugin.capabilities import (
    DENSE_WEIGHTS,
    FLOAT_WEIGHTS,
    FULL_PRECISION,
    PLAIN_LAYERS,
    STUDENT,
)

_AS_KEEP: Final = "; left out: as keep"
_TARGET: Final = "onnxruntime-cpu"
_MACHINE: Final = "Intel Xeon, AVX-512 and VNNI"
_MEASURED: Final = {
    "keyword transformer, 64 wide, 4 blocks": {
        "keep 0.5": (1.43, 1.43, 1.44, 0.525),
        "keep 0.25": (1.82, 1.82, 1.83, 0.287),
        "layers 0.5": (1.84, 1.84, 1.85, 0.515),
    },
    "keyword transformer, 96 wide, 6 blocks": {
        "keep 0.5": (1.69, 1.69, 1.72, 0.513),
        "keep 0.25": (2.26, 2.24, 2.30, 0.310),
        "layers 0.5": (2.09, 2.07, 2.12, 0.507),
    },
    "cnn, residual blocks, 1-D": {
        "keep 0.5": (1.55, 1.50, 1.65, 0.266),
        "keep 0.25": (1.98, 1.70, 2.10, 0.079),
        "layers 0.5": (1.69, 1.61, 1.80, 0.474),
    },
    "resnet-20, 3 x 32 x 32": {
        "keep 0.5": (2.05, 2.03, 2.07, 0.255),
        "keep 0.25": (3.44, 3.42, 3.48, 0.068),
        "layers 0.5": (1.54, 1.52, 1.55, 0.644),
    },
}
"""Speed-up, its smallest and largest of five processes, and size; docs/prune.md says how measured.
With layers 0.5 nothing else goes.
"""


class PruneParams(Params):
    """Run-file parameters of `prune`. Shares are of what the student has when it comes."""

    keep: float = param(
        0.5, low=0.05, high=1, phase="apply", help="share of units kept; 1 takes none out"
    )
    heads: float | None = param(
        None, low=0.05, high=1, phase="apply", help=f"share of each attention's heads{_AS_KEEP}"
    )
    feed_forward: float | None = param(
        None,
        low=0.05,
        high=1,
        phase="apply",
        help=f"share of each feed-forward layer's hidden features{_AS_KEEP}",
    )
    channels: float | None = param(
        None,
        low=0.05,
        high=1,
        phase="apply",
        help=f"share of the channels that convolutional blocks give and take{_AS_KEEP}",
    )
    inner_channels: float | None = param(
        None,
        low=0.05,
        high=1,
        phase="apply",
        help=f"share of the channels inside convolutional blocks{_AS_KEEP}",
    )
    layers: float = param(
        1.0, low=0.05, high=1, phase="apply", help="share of layers, or of each stage's blocks"
    )
    layers_by: Literal["last", "even", "importance"] = param(
        "last",
        phase="apply",
        help="layers that go: the last ones, evenly spread ones, or the least important ones of "
        "those whose shapes allow it",
    )
    importance: Literal["magnitude", "taylor", "activation", "random"] = param(
        "taylor",
        phase="apply",
        help="which units stay: by the norms of their weights, by what the loss would change "
        "without them, by the size of what they give, or by lot",
    )
    samples: int = param(
        256,
        low=1,
        high=1_000_000,
        phase="apply",
        help="training samples that taylor and activation see",
    )
    statistics_samples: int = param(
        1000,
        low=0,
        high=1_000_000,
        phase="apply",
        help="training samples for the batch-norm statistics of the pruned network; 0 keeps those "
        "of the whole one",
    )


@hookimpl
def stillhouse_methods() -> Iterator[MethodInfo]:
    yield MethodInfo(
        name="prune",
        summary="Fewer heads, hidden features, channels and layers: the least important ones go",
        build="stillhouse.plugins.prune.prune:Prune",
        params=PruneParams,
        changes="student",
        needs=frozenset({STUDENT, FLOAT_WEIGHTS, PLAIN_LAYERS, DENSE_WEIGHTS, FULL_PRECISION}),
        speeds_up=frozenset({_TARGET}),
        measured=tuple(_gains()),
    )


def _gains() -> Iterator[Gain]:
    for network, settings in _MEASURED.items():
        for setting, (speed_up, low, high, size) in settings.items():
            yield Gain(
                target=_TARGET, network=network, setting=setting, speed_up=speed_up, low=low,
                high=high, size=size, machine=_MACHINE,
            )  # fmt: skip
