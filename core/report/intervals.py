"""A mean over repeats and its 95 % interval by Student's t."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, final

import numpy as np

_T: Final = (
    12.706205, 4.302653, 3.182446, 2.776445, 2.570582, 2.446912, 2.364624, 2.306004, 2.262157,
    2.228139, 2.200985, 2.178813, 2.160369, 2.144787, 2.131450, 2.119905, 2.109816, 2.100922,
    2.093024, 2.085963, 2.079614, 2.073873, 2.068658, 2.063899, 2.059539, 2.055529, 2.051831,
    2.048407, 2.045230, 2.042272,
)  # fmt: skip
"""The 0.975 quantile of Student's t for 1 to 30 degrees of freedom."""
_Z: Final = 1.959964
"""The same quantile of the normal distribution."""


@final
@dataclass(frozen=True)
class Interval:
    """`mean` of `count` values; `half` the interval on either side, None without any spread.

    One value has no spread, and neither have equal ones: an interval of no width would claim
    certainty that so few repeats cannot give.
    """

    mean: float
    half: float | None
    count: int

    @property
    def low(self) -> float:
        return self.mean - (self.half or 0.0)

    @property
    def high(self) -> float:
        return self.mean + (self.half or 0.0)

    @property
    def holds_zero(self) -> bool:
        return self.low <= 0 <= self.high


def interval(values: Sequence[float]) -> Interval | None:
    """The mean and its two-sided 95 % interval; None without values."""
    if not values:
        return None
    found, count = np.array(values), len(values)
    mean = float(found.mean())
    spread = float(found.std(ddof=1)) if count > 1 else 0.0
    rounding = 1e-12 * float(np.abs(found).max())
    if spread <= rounding:
        return Interval(0.0 if abs(mean) <= rounding else mean, None, count)
    return Interval(mean, t_quantile(count - 1) * spread / math.sqrt(count), count)


def t_quantile(degrees: int) -> float:
    """The 0.975 quantile of Student's t for one degree of freedom or more.

    Above 30 degrees by the expansion in 1/degrees (Abramowitz and Stegun 26.7.5), to 2e-6.
    """
    if degrees < 1:
        raise ValueError(f"expected one degree of freedom or more, got {degrees}")
    if degrees <= len(_T):
        return _T[degrees - 1]
    z, n = _Z, degrees
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / n + second / n**2 + third / n**3
