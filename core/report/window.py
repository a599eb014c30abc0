"""Which part of a quality axis to show: a few hopeless candidates must not flatten the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_TAIL: Final = 0.06
"""Share of the worst values that may be left out."""


@dataclass(frozen=True)
class Window:
    """Range of qualities to draw. `beyond` values are worse than the range."""

    low: float
    high: float
    beyond: int


def window(values: Sequence[float], keep: Sequence[float], *, maximize: bool) -> Window:
    """The range of `values` and `keep`; leaves out a worst tail as long as all the rest.

    A tail is left out only where the range without it is less than half as long. Values in
    `keep` are always inside. Without any value the range is 0..1.
    """
    ordered = sorted(values, reverse=maximize)
    if not ordered and not keep:
        return Window(0.0, 1.0, 0)
    best = (ordered or list(keep))[0]
    worst = ordered[-1] if ordered else best
    if len(ordered) > 10:
        inner = ordered[-1 - int(len(ordered) * _TAIL)]
        if abs(inner - best) < 0.5 * abs(worst - best) and inner != best:
            worst = inner
    low, high = min(worst, best, *keep), max(worst, best, *keep)
    beyond = sum(value < low if maximize else value > high for value in values)
    return Window(low, high, beyond)
