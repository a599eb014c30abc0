"""Workers on a virtual clock: their work takes no time, all that the engine does takes its own."""

from __future__ import annotations

import heapq
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, final

import numpy as np

from stillhouse.core.execute import Executor, Job, Outcome, WorkerState

Bench = Callable[[Mapping[str, Any]], Mapping[str, Any]]

MEAN_S = 1.0
SPREAD = 0.3


def seconds_of(number: int, seed: int) -> float:
    """How long an evaluation takes: log-normal, mean 1 s, standard deviation 0.3 s."""
    variance = np.log(1 + (SPREAD / MEAN_S) ** 2)
    draw = np.random.default_rng([seed, number]).standard_normal()
    return float(MEAN_S * np.exp(draw * np.sqrt(variance) - variance / 2))


@final
class VirtualWorkers(Executor):
    """Workers whose clock is the engine's own seconds plus those that it would have waited.

    A worker is handed its next job when the engine calls and not before, so it idles while the
    engine is busy elsewhere. With `free` the engine's own seconds count nothing.
    """

    def __init__(self, workers: int, bench: Bench, seed: int, *, free: bool = False) -> None:
        self.now_s = self.engine_s = 0.0
        self.spans_s: list[tuple[float, float]] = []
        """When each evaluation began and ended, by its end."""
        self._workers, self._bench, self._seed, self._free = workers, bench, seed, free
        self._waiting: deque[Job] = deque()
        self._running: list[tuple[float, int, float, Job]] = []
        self._left_s = time.perf_counter()

    @property
    def capacity(self) -> int:
        return self._workers

    def submit(self, jobs: Sequence[Job]) -> None:
        self._enter()
        self._waiting.extend(jobs)
        self._hand_out()
        self._leave()

    def finished(self, timeout_s: float | None = None) -> list[Outcome]:
        self._enter()
        self._hand_out()
        if self._running:
            end_s = self._running[0][0]
            self.now_s = max(self.now_s, min(end_s, self.now_s + (timeout_s or np.inf)))
        ended = self._ended()
        self._hand_out()
        self._leave()
        return ended

    def efficiency(self, start_s: float = 0.0, end_s: float = np.inf) -> float:
        """The share of the workers' time, between two times or in all, that was evaluation."""
        until = min(end_s, self.now_s)
        begins, ends = np.clip(np.array(self.spans_s).T, start_s, until)
        return float((ends - begins).sum() / (self._workers * (until - start_s)))

    def withdraw(self) -> list[int]:
        numbers = [job.number for job in self._waiting]
        self._waiting.clear()
        return numbers

    def workers(self) -> Sequence[WorkerState]:
        return ()

    def close(self) -> None:
        self._waiting.clear()
        self._running.clear()

    def _enter(self) -> None:
        spent = time.perf_counter() - self._left_s
        self.engine_s += spent
        self.now_s += 0.0 if self._free else spent

    def _leave(self) -> None:
        self._left_s = time.perf_counter()

    def _hand_out(self) -> None:
        while self._waiting and len(self._running) < self._workers:
            job = self._waiting.popleft()
            seconds = seconds_of(job.number, self._seed)
            heapq.heappush(self._running, (self.now_s + seconds, job.number, seconds, job))

    def _ended(self) -> list[Outcome]:
        out = []
        while self._running and self._running[0][0] <= self.now_s:
            end_s, number, seconds, job = heapq.heappop(self._running)
            self.spans_s.append((end_s - seconds, end_s))
            out.append(Outcome(number, self._bench(job.payload), seconds))
        return out
