"""Unstructured sparsity, described without importing the code that does it."""

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

_AS_ALL: Final = "; left out: as sparsity"
_TARGET: Final = "onnxruntime-cpu"
_MACHINE: Final = "Intel Xeon, AVX-512 and VNNI"
_MEASURED: Final = {
    "keyword transformer, 64 wide, 4 blocks": {
        "sparsity 0.5": (1.00, 1.00, 1.00, 0.561),
        "sparsity 0.8": (1.00, 0.99, 1.01, 0.278),
    },
    "keyword transformer, 96 wide, 6 blocks": {
        "sparsity 0.5": (0.98, 0.97, 1.01, 0.547),
        "sparsity 0.8": (0.97, 0.95, 0.99, 0.255),
    },
    "cnn, residual blocks, 1-D": {
        "sparsity 0.5": (1.00, 0.88, 1.05, 0.556),
        "sparsity 0.8": (1.00, 0.95, 1.00, 0.269),
    },
    "resnet-20, 3 x 32 x 32": {
        "sparsity 0.5": (1.00, 0.97, 1.01, 0.538),
        "sparsity 0.8": (1.00, 1.00, 1.01, 0.241),
    },
}
"""Speed-up, its smallest and largest of five processes, and size; docs/prune.md says how measured.
"""


class SparsifyParams(Params):
    """Run-file parameters of `sparsify`. Sparsities are shares of zeros in each layer's weights."""

    sparsity: float = param(
        0.5, low=0, high=0.99, phase="apply", help="share of zeros; 0 leaves layers as they are"
    )
    attention: float | None = param(
        None, low=0, high=0.99, phase="apply", help=f"share in attention projections{_AS_ALL}"
    )
    feed_forward: float | None = param(
        None, low=0, high=0.99, phase="apply", help=f"share in feed-forward layers{_AS_ALL}"
    )
    convolution: float | None = param(
        None, low=0, high=0.99, phase="apply", help=f"share in convolutions{_AS_ALL}"
    )
    front_end: float = param(
        0.0, low=0, high=0.99, phase="apply", help="share in the layers that meet the input first"
    )
    head: float = param(
        0.0, low=0, high=0.99, phase="apply", help="share in the layer that answers"
    )
    layers: str = param(
        "*",
        phase="apply",
        searchable=False,
        help="names of the layers that get zeros, as patterns with commas between them; "
        "! before a pattern leaves layers out",
    )
    importance: Literal["magnitude", "activation"] = param(
        "magnitude",
        phase="apply",
        help="which weights stay: the largest ones, or the largest ones times the size of what "
        "they read (Wanda)",
    )
    among: Literal["layer", "output"] = param(
        "layer",
        phase="apply",
        help="what has the share of zeros: each layer, or each of its outputs by itself",
    )
    samples: int = param(
        256,
        low=1,
        high=1_000_000,
        phase="apply",
        help="training samples that the importance activation sees",
    )


@hookimpl
def stillhouse_methods() -> Iterator[MethodInfo]:
    yield MethodInfo(
        name="sparsify",
        summary="The least important weights become zeros for good: smaller files, equal speed",
        build="stillhouse.plugins.sparsify.sparsify:Sparsify",
        params=SparsifyParams,
        changes="form",
        needs=frozenset({STUDENT, FLOAT_WEIGHTS, DENSE_WEIGHTS, FULL_PRECISION}),
        leaves=frozenset({"sparse weights"}),
        spends=frozenset({DENSE_WEIGHTS, PLAIN_LAYERS}),
        # None is faster than whole: the runtime multiplies by zeros too.
        measured=tuple(_gains()),
    )


def _gains() -> Iterator[Gain]:
    for network, settings in _MEASURED.items():
        for setting, (speed_up, low, high, size) in settings.items():
            yield Gain(
                target=_TARGET, network=network, setting=setting, speed_up=speed_up, low=low,
                high=high, size=size, machine=_MACHINE,
            )  # fmt: skip
