"""Axes: from values to pixels, and where the ticks go."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import final

from stillhouse.core.report.numerals import quantity, significant

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

    def ticks(self, count: int, text: Callable[[float], str] | None = None) -> list[Tick]:
        """About `count` ticks; `text` writes a value, by default the shortest that tells apart."""
        values = (log_ticks if self.log else nice_ticks)(self.low, self.high, count)
        if text is not None:
            return [Tick(value, text(value)) for value in values]
        shown = _labels(values, self.log)
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
    spread = (high - low) * pad if high > low else abs(high) * 0.1 or 0.5
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
    """1, 2, 5 (or only 1, or all digits) times powers of ten inside `low..high`, about `count`."""
    candidates = [_decades(low, high, digits) for digits in ((1,), (1, 3), (1, 2, 5), range(1, 10))]
    enough = [ticks for ticks in candidates if 3 <= len(ticks) <= count + 2]
    if enough:
        return min(enough, key=lambda ticks: abs(len(ticks) - count))
    return nice_ticks(low, high, count) if len(candidates[0]) <= count else candidates[0]


def _decades(low: float, high: float, digits: Sequence[int]) -> list[float]:
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    values = (float(f"{digit}e{power}") for power in powers for digit in digits)
    return [value for value in values if low <= value <= high]


def _labels(values: Sequence[float], log: bool) -> list[str]:
    if max((abs(v) for v in values), default=0) >= 10_000:
        return ["0" if not v else quantity(v).replace(".00", "").replace(".0", "") for v in values]
    if log:
        return [f"{v:g}" for v in values]
    gaps = [b - a for a, b in zip(values, values[1:], strict=False)]
    step = min(gaps, default=0.0)
    if step <= 0:
        return [significant(v) for v in values]
    places = max(0, -math.floor(math.log10(step) + 1e-9))
    if round(step, places) != round(step, 12):
        places += 1
    return [f"{v:,.{places}f}" for v in values]
