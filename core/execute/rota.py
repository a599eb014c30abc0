"""Which worker begins which job: in the order given, early where that costs nobody anything."""

from __future__ import annotations

import heapq
from typing import Final, final

from stillhouse.core.execute.crew import Crew
from stillhouse.core.execute.seat import Task

_LEAST_PATIENCE_S: Final = 0.02


@final
class Rota:
    """Jobs that wait, and the hands they go to.

    A worker is handed its next job while it works on another, so that it never waits for this
    process. The job is taken back where somebody else could begin it now, or where the one before
    it takes twice as long as jobs did of late: nobody waits behind a long job.
    """

    def __init__(self, crew: Crew) -> None:
        self._crew, self._seats = crew, crew.seats
        self._waiting: list[tuple[int, Task]] = []
        self._pace_s = 0.0

    @property
    def waiting(self) -> bool:
        return bool(self._waiting)

    def add(self, task: Task) -> None:
        """A task to begin, again or for the first time, before those that were given later."""
        heapq.heappush(self._waiting, (task.order, task))

    def took(self, seconds: float) -> None:
        """How long a job took that has just ended."""
        self._pace_s += (seconds - self._pace_s) / 4

    def withdraw(self) -> list[int]:
        """Forget all that nobody has begun; their numbers in order."""
        for seat in self._seats:
            if task := seat.take_back():
                self.add(task)
        numbers = [task.number for _, task in sorted(self._waiting, key=lambda one: one[0])]
        self._waiting.clear()
        return numbers

    def assign(self, now_s: float) -> None:
        """Hand out what can be. Raises ExecutionError where no worker can be started."""
        self._take_back(now_s)
        self._to_idle(now_s)
        self._call()
        if self._waiting and all(seat.ready for seat in self._seats):
            self._ahead(now_s)

    def _take_back(self, now_s: float) -> None:
        idle = sum(seat.idle for seat in self._seats)
        held = [seat for seat in self._seats if seat.behind is not None]
        for seat in sorted(held, key=lambda one: one.behind_since_s):
            late = now_s - seat.began_s > self._patience_s
            if (late or idle > len(self._waiting)) and (task := seat.take_back()):
                self.add(task)

    def _to_idle(self, now_s: float) -> None:
        for seat in self._seats:
            if self._waiting and seat.idle:
                self._crew.hand(seat, heapq.heappop(self._waiting)[1], now_s)

    def _ahead(self, now_s: float) -> None:
        for seat in self._seats:
            if self._waiting and seat.takes_ahead(self._waiting[0][1], now_s, self._patience_s):
                self._crew.hand(seat, heapq.heappop(self._waiting)[1], now_s)

    def _call(self) -> None:
        """Have as many workers as there are jobs for, those on their way counted."""
        coming = sum(seat.called and not seat.ready for seat in self._seats)
        empty = [seat for seat in self._seats if not seat.called]
        for seat in empty[: max(0, len(self._waiting) - coming)]:
            self._crew.call(seat)

    @property
    def _patience_s(self) -> float:
        return max(_LEAST_PATIENCE_S, 2 * self._pace_s)
