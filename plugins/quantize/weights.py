"""Weights rounded to 8-bit integers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray

SIGNED: Final = "signed"
UNSIGNED: Final = "unsigned"
REDUCED: Final = "reduced"
_LARGEST: Final = {SIGNED: 127, REDUCED: 64}
_X86: Final = frozenset({"x86_64", "amd64", "i386", "i686"})
_EXACT: Final = frozenset({"avx512_vnni", "avx_vnni", "amx_int8"})
"""Instruction sets of x86 that add products of 8-bit numbers in 32 bits."""


@final
@dataclass(frozen=True, eq=False)
class Rounded:
    """`values` (outputs, entries) of 8 bits; the weights are (values - zero) * scale.

    `scale` (float32) and `zero` are (outputs,), or () for all of them.
    """

    values: NDArray[Any]
    scale: NDArray[Any]
    zero: NDArray[Any]


def rounded(
    matrix: NDArray[Any], kind: str, per_channel: bool, least: NDArray[Any] | float = 0
) -> Rounded:
    """Weights (outputs, entries), float32, to the nearest of evenly spaced numbers.

    Signed and reduced ones are symmetric about 0; unsigned ones span what is there, and 0. Scales
    are at least `least`, one for each output or one for all.
    """
    axis = 1 if per_channel else None
    least = least if per_channel else np.max(least)
    if kind == UNSIGNED:
        low = np.minimum(matrix.min(axis=axis), 0)
        high = np.maximum(matrix.max(axis=axis), 0)
        scale = _positive(np.maximum((high - low) / 255, least))
        zero = np.rint(-low / scale).astype(np.uint8)
    else:
        scale = _positive(np.maximum(np.abs(matrix).max(axis=axis) / _LARGEST[kind], least))
        zero = np.zeros(scale.shape, np.int8)
    steps = np.rint(matrix / scale[..., None] if per_channel else matrix / scale)
    limits = np.iinfo(zero.dtype)
    shifted = steps + (zero[..., None] if per_channel else zero)
    return Rounded(shifted.clip(limits.min, limits.max).astype(zero.dtype), scale, zero)


def kind_for(machine: Mapping[str, Any], wanted: str) -> str:
    """The kind of weights for a device; `machine` as `core.measure.machine` describes it.

    On x86 without VNNI two products of 8-bit numbers are added in 16 bits, which full-range
    weights overflow (ONNX Runtime's VPMADDUBSW kernels).
    """
    if wanted != "auto":
        return wanted
    x86 = str(machine.get("machine", "")).lower() in _X86
    return REDUCED if x86 and not _EXACT & set(machine.get("flags") or ()) else SIGNED


def _positive(scale: NDArray[Any]) -> NDArray[Any]:
    """As float32; 1 for what is all zeros."""
    plain = np.asarray(scale, np.float32)
    return np.where(plain > 0, plain, np.float32(1))
