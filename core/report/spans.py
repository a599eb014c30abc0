"""A mean and its interval as somebody else worked them out, and how both are written."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any, Final, final

from stillhouse.core.report.numerals import finite

_MOST: Final = 6
"""Decimals; what is smaller gets an exponent."""


@final
@dataclass(frozen=True)
class Span:
    """`mean` between `low` and `high`, the ends of its 95 % interval; both None without one."""

    mean: float
    low: float | None = None
    high: float | None = None

    @property
    def ends(self) -> tuple[float, float]:
        """The interval, or the mean twice."""
        if self.low is None or self.high is None:
            return self.mean, self.mean
        return self.low, self.high

    @property
    def half(self) -> float:
        low, high = self.ends
        return (high - low) / 2

    @property
    def nothing(self) -> bool:
        """Exactly 0, all of it."""
        return self.mean == 0 and self.ends == (0, 0)

    @property
    def undecided(self) -> bool:
        """The interval holds 0."""
        low, high = self.ends
        return low <= 0 <= high

    def scaled(self, factor: float) -> Span:
        """All of it times a factor above 0."""
        if self.low is None or self.high is None:
            return Span(factor * self.mean)
        return Span(factor * self.mean, factor * self.low, factor * self.high)

    def mirrored(self) -> Span:
        """The same seen from the other side."""
        if self.low is None or self.high is None:
            return Span(-self.mean)
        return Span(-self.mean, -self.high, -self.low)


def span(record: Any) -> Span | None:
    """From `{"mean", "low", "high"}`; None where there is no finite mean.

    The interval is kept where both ends are finite and on either side of the mean.
    """
    if not isinstance(record, Mapping) or (mean := finite(record.get("mean"))) is None:
        return None
    low, high = finite(record.get("low")), finite(record.get("high"))
    if low is None or high is None or not low <= mean <= high:
        return Span(mean)
    return Span(mean, low, high)


def decimals(spans: Iterable[Span]) -> int:
    """As many as leave two digits of the half of a typical interval; four without intervals."""
    halves = [one.half for one in spans if one.half > 0]
    return _decimals(median(halves)) if halves else 4


def written(value: float, places: int) -> str:
    """A number to so many places, more where that would leave nothing of it: `0.012`, `3e-9`."""
    if value == 0:
        return "0"
    needed = -math.floor(math.log10(abs(value)))
    if needed > _MOST:
        return _minus(exponent(value))
    return _minus(f"{value:,.{max(places, needed)}f}")


def between(found: Span, places: int) -> str:
    """The interval: `0.004 to 0.020`; empty without one.

    More places where the interval is narrow, and an end that is not 0 never reads as 0.
    """
    if not found.half:
        return ""
    fitting = max(places, _decimals(found.half)) if found.half < 10.0**-places else places
    return " to ".join(_minus(_fixed(end, fitting)) for end in found.ends)


def exponent(value: float, digits: int = 2) -> str:
    """Significant digits, and an exponent without leading zeros where it is small: `1.2e-9`."""
    mantissa, sign, power = f"{value:.{digits}g}".partition("e-")
    return f"{mantissa}{sign}{power.lstrip('0')}"


def _fixed(value: float, places: int) -> str:
    shown = f"{value:,.{places}f}"
    if shown.strip("-0.,"):
        return shown
    return shown.lstrip("-") if value == 0 else exponent(value, 1)


def _decimals(half: float) -> int:
    return max(0, min(_MOST, 1 - math.floor(math.log10(half))))


def _minus(shown: str) -> str:
    return f"−{shown[1:]}" if shown.startswith("-") else shown
