"""Axes: from values to pixels, and where the ticks go."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import final

from stillhouse.core.report.numerals import NBSP, quantity, significant

_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
_LOG_FROM = 8.0
"""Values that spread wider than this factor read better on a logarithmic axis."""


@dataclass(frozen=True)
class Tick:
    """A value with its text."""

    value: float
    label: str


@final
@dataclass(frozen=True)
class Axis:
    """Maps `low..high` to the pixels `start..end`; `end < start` for an axis that points up."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def at(self, value: float) -> float:
        """The pixel of a value; values outside the range land outside the pixels."""
        low, high, here = (self._scaled(v) for v in (self.low, self.high, value))
        return self.start + (self.end - self.start) * (here - low) / (high - low)

    def inside(self, value: float) -> float:
        """The pixel of a value, moved to the nearer end when it lies outside the range."""
        return self.at(min(max(value, self.low), self.high))

    def between(self, share: float) -> float:
        """The value that lies at a share of the way from `start` to `end`."""
        if self.log:
            return float(self.low * (self.high / self.low) ** share)
        return self.low + share * (self.high - self.low)

    def ticks(self, count: int, *, percent: bool = False) -> list[Tick]:
        """About `count` ticks, written as short as tells them apart; `percent` ends at 100 %."""
        values = (log_ticks if self.log else nice_ticks)(self.low, self.high, count)
        if not percent:
            shown = _labels(values, self.log)
        else:
            values = [value for value in values if -1e-9 <= value <= 1 + 1e-9]
            shown = [f"{label}{NBSP}%" for label in _labels([100 * v for v in values], self.log)]
        return [Tick(value, label) for value, label in zip(values, shown, strict=True)]

    def _scaled(self, value: float) -> float:
        return math.log(max(value, 1e-300)) if self.log else value


def axis(
    values: Iterable[float],
    start: float,
    end: float,
    *,
    log: bool | None = None,
    pad: float = 0.05,
) -> Axis:
    """An axis around values, logarithmic when they spread over more than a factor of eight.

    Equal values get room on both sides; no values give 0..1.
    """
    found = [value for value in values if math.isfinite(value)]
    if not found:
        return Axis(0.0, 1.0, start, end)
    low, high = min(found), max(found)
    log = (low > 0 and high / low > _LOG_FROM) if log is None else log and low > 0
    if log:
        room = (high / low) ** pad if high > low else 1.5
        return Axis(low / room, high * room, start, end, log=True)
    spread = (high - low) * pad if high > low else abs(high) * 0.02 or 0.5
    return Axis(low - spread, high + spread, start, end)


def nice_ticks(low: float, high: float, count: int) -> list[float]:
    """Multiples of 1, 2, 2.5 or 5 times a power of ten inside `low..high`, about `count`."""
    if not low < high:
        return [low]
    rough = (high - low) / max(count, 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = power * next(s for s in _STEPS if s * power >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(i * step, 12) for i in range(first, last + 1)]


def log_ticks(low: float, high: float, count: int) -> list[float]:
    """Round values inside `low..high`, all positive: at most about `count`.

    1, 2 and 5 times powers of ten, or 1 and 3, or 1 alone, whichever is the first to fit; over a
    short range every digit, or the steps of a linear axis.
    """
    for digits in ((1, 2, 5), (1, 3), (1,), range(1, 10)):
        ticks = _decades(low, high, digits)
        if 3 <= len(ticks) <= count + 1:
            return ticks
    decades = _decades(low, high, (1,))
    if len(decades) > count:
        return decades[:: math.ceil(len(decades) / count)]
    return nice_ticks(low, high, count)


def _decades(low: float, high: float, digits: Sequence[int]) -> list[float]:
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    values = (float(f"{digit}e{power}") for power in powers for digit in digits)
    return [value for value in values if low <= value <= high]


def _labels(values: Sequence[float], log: bool) -> list[str]:
    if max((abs(v) for v in values), default=0) >= 10_000:
        return ["0" if not v else quantity(v).replace(".00", "").replace(".0", "") for v in values]
    if log:
        return [f"{v:,g}" for v in values]
    gaps = [b - a for a, b in pairwise(values)]
    step = min(gaps, default=0.0)
    if step <= 0:
        return [significant(v) for v in values]
    places = max(0, -math.floor(math.log10(step) + 1e-9))
    if round(step, places) != round(step, 12):
        places += 1
    return [f"{v:,.{places}f}" for v in values]
