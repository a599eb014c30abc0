"""Evaluations in processes of this machine that share what the first of them opened."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, final

from stillhouse.core.errors import StillhouseError
from stillhouse.core.execute.attempts import OUT_OF_MEMORY, Attempts
from stillhouse.core.execute.crew import Answer, Crew, Death, Event
from stillhouse.core.execute.executor import ExecutionError, Executor, WorkerState
from stillhouse.core.execute.job import Job, Outcome, Work
from stillhouse.core.execute.limits import Limits
from stillhouse.core.execute.memory import private_bytes
from stillhouse.core.execute.raised import retold
from stillhouse.core.execute.rota import Rota
from stillhouse.core.execute.seat import Seat, Task
from stillhouse.core.execute.wire import Message, framed
from stillhouse.core.execute.words import Words

Clock = Callable[[], float]

_TOLD_S: Final = 5.0


@final
class Processes(Executor):
    """Workers forked from one process that opened the work, so that they share its memory.

    Where the work uses a GPU, or several threads a worker, each opens its own. Workers are started
    as jobs ask for them and end with this process, whatever ends it. A job may be handed to a
    worker while that works on another; it is taken back when another could begin it sooner.

    `timeout_s` is the time that an attempt may take, `memory_mb` (10^6 bytes) what a worker may
    hold that it shares with nobody. What workers print is appended to `log`.
    """

    def __init__(
        self,
        work: Work,
        workers: int,
        *,
        timeout_s: float | None = None,
        memory_mb: float | None = None,
        retries: int = 2,
        log: Path | None = None,
        clock: Clock = time.monotonic,
    ) -> None:
        self._words = Words(log)
        self._crew = Crew(work, workers, self._words, clock)
        self._rota, self._submitted = Rota(self._crew), 0
        self._limits, self._retries = Limits(self._crew, timeout_s, memory_mb), retries
        self._clock, self._place = clock, platform.node()
        self._outcomes: list[Outcome] = []
        self._fault: StillhouseError | None = None

    @property
    def capacity(self) -> int:
        return len(self._crew.seats)

    def submit(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            frame = framed({"number": job.number, "payload": job.payload})
            self._rota.add(Task(self._submitted, job.number, frame, Attempts(self._retries)))
            self._submitted += 1
        self._assign(self._clock())

    def finished(self, timeout_s: float | None = None) -> list[Outcome]:
        until = None if timeout_s is None else self._clock() + timeout_s
        self._advance(0.0)
        while self._under_way and not self._outcomes and self._fault is None:
            now = self._clock()
            if until is not None and now >= until:
                break
            self._advance(self._wait_s(now, until))
        if self._fault is not None and not self._outcomes:
            fault, self._fault = self._fault, None
            raise fault
        ended, self._outcomes = self._outcomes, []
        return ended

    def withdraw(self) -> list[int]:
        return self._rota.withdraw()

    def workers(self) -> Sequence[WorkerState]:
        now = self._clock()
        return [self._state(seat, now) for seat in self._crew.seats]

    def close(self) -> None:
        self._crew.close()
        self._words.close()

    @property
    def _under_way(self) -> bool:
        return self._rota.waiting or any(seat.running for seat in self._crew.seats)

    def _wait_s(self, now_s: float, until_s: float | None) -> float | None:
        """Until something must be done though nothing happens; None: for ever."""
        moments = [*self._limits.moments_s(now_s), *([] if until_s is None else [until_s])]
        return max(min(moments) - now_s, 0.0) if moments else None

    def _advance(self, wait_s: float | None) -> None:
        """Learn what happened, end what must be ended, hand out what can be."""
        try:
            for event in self._crew.events(wait_s):
                self._settle(event)
        except ExecutionError as error:
            self._fault = error
        now = self._clock()
        self._limits.hold(now)
        self._assign(now)

    def _assign(self, now_s: float) -> None:
        try:
            if self._fault is None:
                self._rota.assign(now_s)
        except ExecutionError as error:
            self._fault = error

    def _settle(self, event: Event) -> None:
        if isinstance(event, Answer):
            self._answered(event.seat, event.message)
        elif isinstance(event, Death):
            self._died(event)
        else:
            self._fault = self._fault or event.error

    def _answered(self, seat: Seat, message: Message) -> None:
        if "memory" in message:  # the worker leaves, and its job with it
            seat.doom, seat.doomed_s = OUT_OF_MEMORY, self._clock()
            return
        seconds = float(message["seconds"])
        task = seat.finish(message["number"], self._clock())
        self._rota.took(seconds)
        if "raised" in message:
            self._fault = self._fault or retold(message["raised"])
            return
        result, error = message.get("result"), message.get("error", "")
        attempts = task.attempts.count + 1
        self._outcomes.append(Outcome(task.number, result, seconds, error, seat.name, attempts))

    def _died(self, death: Death) -> None:
        again, dead = list(death.unbegun), death.dead
        if dead is not None and death.charged:
            dead.attempts.ended(death.reason)
        if dead is not None and dead.attempts.spent:
            said = (dead.attempts.error, death.worker, dead.attempts.count)
            self._outcomes.append(Outcome(dead.number, None, death.seconds, *said))
        elif dead is not None:
            again.append(dead)
        for task in again:
            self._rota.add(task)

    def _state(self, seat: Seat, now_s: float) -> WorkerState:
        if seat.pid and now_s - seat.told_s >= _TOLD_S:
            seat.private_bytes, seat.told_s = private_bytes(seat.pid), now_s
        number = seat.running.number if seat.running else None
        since = now_s - seat.began_s if seat.running else 0.0
        return WorkerState(seat.name, self._place, number, since, seat.deaths, seat.private_bytes)
