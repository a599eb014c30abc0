"""What a worker may take before it is ended: time and memory."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Final, final

from stillhouse.core.execute.attempts import hung, overgrown
from stillhouse.core.execute.crew import Crew
from stillhouse.core.execute.executor import ExecutionError
from stillhouse.core.execute.memory import private_bytes, resident_bytes
from stillhouse.core.execute.seat import Seat

_WEIGH_S: Final = 0.25
_DEAF_S: Final = 10.0


@final
class Limits:
    """Holds the workers of a crew to `timeout_s` an attempt, and `memory_mb` (10^6 bytes).

    Memory is what a worker shares with nobody, looked at four times a second. Raises
    ExecutionError where the system does not tell that.
    """

    def __init__(self, crew: Crew, timeout_s: float | None, memory_mb: float | None) -> None:
        if memory_mb is not None and sys.platform != "linux":
            raise ExecutionError(
                "execute.memory_mb: expected Linux, whose /proc tells what a process holds, got "
                f"{sys.platform}; leave it out"
            )
        self._crew, self._timeout_s, self._memory_mb = crew, timeout_s, memory_mb

    def hold(self, now_s: float) -> None:
        """End what exceeds them; and all, where what was to end does not."""
        for seat in self._busy():
            if seat.doom:
                if now_s - seat.doomed_s > _DEAF_S:
                    self._crew.abandon()
            elif self._timeout_s is not None and now_s - seat.began_s > self._timeout_s:
                self._crew.end(seat, hung(self._timeout_s), now_s)
            elif self._memory_mb is not None and now_s - seat.weighed_s >= _WEIGH_S:
                seat.weighed_s = now_s
                if _exceeds(seat.pid, self._memory_mb * 1e6):
                    self._crew.end(seat, overgrown(self._memory_mb), now_s)

    def moments_s(self, now_s: float) -> Iterator[float]:
        """When to look again, though nothing happens."""
        for seat in self._busy():
            if seat.doom:
                yield seat.doomed_s + _DEAF_S
            elif self._timeout_s is not None:
                yield seat.began_s + self._timeout_s
            if self._memory_mb is not None:
                yield now_s + _WEIGH_S

    def _busy(self) -> Iterator[Seat]:
        return (seat for seat in self._crew.seats if seat.running is not None)


def _exceeds(process: int, most: float) -> bool:
    """The cheap figure first: it counts what is shared, so it is never the smaller one."""
    return resident_bytes(process) > most and private_bytes(process) > most
