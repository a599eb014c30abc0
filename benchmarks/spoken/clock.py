"""A contest's clock: wall and CPU seconds side by side, stopped while nothing is charged."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, final

from stillhouse.core.evaluate import Progress

Base = Literal["wall", "cpu"]


@dataclass(frozen=True)
class Instant:
    """Seconds since a contest began; `cpu_s` is user and system time, ended children included."""

    wall_s: float
    cpu_s: float

    def on(self, base: Base) -> float:
        return self.wall_s if base == "wall" else self.cpu_s

    def __sub__(self, other: Instant) -> Instant:
        return Instant(self.wall_s - other.wall_s, self.cpu_s - other.cpu_s)

    def __add__(self, other: Instant) -> Instant:
        return Instant(self.wall_s + other.wall_s, self.cpu_s + other.cpu_s)


def _read() -> Instant:
    return Instant(time.monotonic(), sum(os.times()[:4]))


@final
class Clock:
    """Runs from its making; what happens under `stopped` is not charged but kept in `free`."""

    def __init__(self) -> None:
        self._began, self.free = _read(), Instant(0.0, 0.0)

    def now(self) -> Instant:
        return _read() - self._began - self.free

    @contextmanager
    def stopped(self) -> Iterator[None]:
        began = _read()
        try:
            yield
        finally:
            self.free += _read() - began


@final
class Stamps:
    """A `Progress` that keeps the time of every evaluation of a run's search."""

    def __init__(self, clock: Clock, shown: Progress) -> None:
        self.evaluations: list[Instant] = []
        self._clock, self._shown = clock, shown
        self._open: list[str] = []

    def start(self, label: str, total: int) -> None:
        self._open.append(label)
        self._shown.start(label, total)

    def advance(self, steps: int = 1, note: str = "") -> None:
        if self._open[-1] == "search":
            self.evaluations += [self._clock.now()] * steps
        self._shown.advance(steps, note)

    def finish(self) -> None:
        self._open.pop()
        self._shown.finish()
