"""The embedded default: evaluations in this process, one after the other."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import final

from stillhouse.core.errors import StillhouseError
from stillhouse.core.execute.executor import Executor, WorkerState
from stillhouse.core.execute.job import Bench, Job, Outcome

Clock = Callable[[], float]


@final
class Inline(Executor):
    """Evaluates while `finished` is waited for; what kills this process ends the run."""

    def __init__(self, bench: Bench, clock: Clock = time.monotonic) -> None:
        self._bench, self._clock = bench, clock
        self._waiting: deque[Job] = deque()

    @property
    def capacity(self) -> int:
        return 1

    def submit(self, jobs: Sequence[Job]) -> None:
        self._waiting.extend(jobs)

    def finished(self, timeout_s: float | None = None) -> list[Outcome]:
        if not self._waiting:
            return []
        job, began = self._waiting.popleft(), self._clock()
        try:
            result, error = self._bench(job.payload), ""
        except (StillhouseError, MemoryError):
            raise
        except Exception as failed:
            result, error = None, f"{type(failed).__name__}: {failed}"
        return [Outcome(job.number, result, self._clock() - began, error)]

    def withdraw(self) -> list[int]:
        numbers = [job.number for job in self._waiting]
        self._waiting.clear()
        return numbers

    def workers(self) -> Sequence[WorkerState]:
        return ()

    def close(self) -> None:
        self._waiting.clear()
