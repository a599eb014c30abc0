"""A fixed piece of work whose time tells how fast the machine is at the moment.

Standard library and NumPy only: this module travels to devices as it is.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Final, final

import numpy as np

ClockNs = Callable[[], int]

_AGREE: Final = 1.03
_LEAST_AGREEING: Final = 8
_SHARE_AGREEING: Final = 0.005
_GROWTH: Final = 1.1


@final
class Reference:
    """Times the same small work again and again, some 15 µs on a laptop.

    On a shared machine a core runs at half its speed while its sibling thread is busy, for a
    millisecond or for seconds; so do all readings taken meanwhile. `best_ms` is the best level
    known from earlier measurements on the same device, or None. `clock` counts nanoseconds; `work`
    replaces the work.
    """

    def __init__(
        self,
        best_ms: float | None = None,
        *,
        clock: ClockNs = time.perf_counter_ns,
        work: Callable[[], object] | None = None,
    ) -> None:
        self._known = math.inf if best_ms is None else best_ms
        self._clock, self._work = clock, work or kernel()
        self._readings: list[float] = []
        self._level, self._counted = math.inf, 0

    def read(self) -> float:
        """One reading, ms; an untimed run goes before, since what ran last emptied the caches."""
        self._work()
        start = self._clock()
        self._work()
        reading = (self._clock() - start) / 1e6
        self._readings.append(reading)
        return reading

    @property
    def level_ms(self) -> float:
        """The level of this object's own readings, ms; follows them within a tenth more of them."""
        if len(self._readings) >= _GROWTH * self._counted:
            self._level, self._counted = level(self._readings), len(self._readings)
        return self._level

    def lately(self, limit_ms: float) -> bool:
        """Whether eight readings of the last third were at most the limit."""
        late = np.asarray(self._readings[-math.ceil(len(self._readings) / 3) :])
        return int((late <= limit_ms).sum()) >= _LEAST_AGREEING

    @property
    def best_ms(self) -> float:
        """The lowest level known, from before or from now, ms; infinite without readings."""
        return min(self._known, self.level_ms)


def level(readings: Sequence[float]) -> float:
    """The lowest level that 0.5 % of the readings, at least eight, agree on within 3 %.

    A few readings that are too low to be true do not make a level. Infinite without readings;
    where no eight agree, the median.
    """
    if not len(readings):
        return math.inf
    ordered = np.sort(np.asarray(readings))
    wanted = max(_LEAST_AGREEING, math.ceil(_SHARE_AGREEING * len(ordered)))
    if len(ordered) >= wanted:
        starts, ends = ordered[: len(ordered) - wanted + 1], ordered[wanted - 1 :]
        agreeing = np.flatnonzero(ends <= _AGREE * starts)
        if len(agreeing):
            return float(ordered[agreeing[0] + wanted // 2])
    return float(np.median(ordered))


def kernel() -> Callable[[], object]:
    """Small matrix products and hyperbolic tangents on fixed numbers, in one thread.

    OpenBLAS splits products only above 64 x 64 x 64, and all operands fit a 32 kB cache.
    """
    a = np.linspace(-1, 1, 32 * 32, dtype=np.float32).reshape(32, 32)
    b, x = np.ascontiguousarray(a.T), np.linspace(-3, 3, 1024, dtype=np.float32)
    product, curve = np.empty_like(a), np.empty_like(x)

    def work() -> None:
        for _ in range(8):
            np.matmul(a, b, out=product)
            np.tanh(x, out=curve)

    return work
