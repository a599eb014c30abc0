"""64-bit marks of rows of codes, so that sets of candidates are sorted arrays of whole numbers."""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.space.dimension import Codes

Marks = NDArray[np.uint64]
"""One number a candidate, (candidates,)."""

_CODES: Final = 1 << 16  # at a time, so that the steps below stay in the processor's cache
_SCALE: Final = 1e9


def rounded(codes: Codes) -> Marks:
    """Marks of rows of codes (n, width), equal where rows agree to nine decimals.

    Different rows share a mark with a chance of about 2^-64 a pair. The same in every process.
    """
    return _folded(codes, _SCALE)


def exact(codes: Codes) -> Marks:
    """Marks of rows of codes (n, width), equal where rows are; 0.0 and -0.0 are one value."""
    return _folded(codes, 1.0)


def _folded(codes: Codes, scale: float) -> Marks:
    out = np.empty(len(codes), dtype=np.uint64)
    factors = _multipliers(codes.shape[1])
    rows = max(1, _CODES // max(1, codes.shape[1]))
    for start in range(0, len(codes), rows):
        block = codes[start : start + rows] * scale
        if scale != 1.0:
            np.rint(block, out=block)
        block += 0.0  # no negative zeros
        bits = block.view(np.uint64)
        # A product carries upwards only, and codes differ in their upper bits: fold before, after.
        bits ^= bits >> np.uint64(32)
        bits *= factors
        bits ^= bits >> np.uint64(29)
        out[start : start + rows] = bits.sum(axis=1)
    return _avalanche(out)


@cache
def _multipliers(width: int) -> Marks:
    """Odd numbers, one a column."""
    steps = np.arange(1, width + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    return _avalanche(steps) | np.uint64(1)


def _avalanche(marks: Marks) -> Marks:
    """Every bit depends on every bit. Source: Steele et al., "SplitMix", OOPSLA 2014, mix64."""
    marks = (marks ^ (marks >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    marks = (marks ^ (marks >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return marks ^ (marks >> np.uint64(31))
