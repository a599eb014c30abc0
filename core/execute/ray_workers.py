"""Evaluations on a Ray cluster: actors that open the bench once and keep it.

Jobs go to actors a few at a time, never more than these need to stay busy; the rest waits here,
where it can be withdrawn. When an actor dies with one job, that job is charged an attempt. When it
dies with several, none is known to be guilty: each is sent again alone, and none is charged.
"""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from queue import Empty
from typing import Any, Final, final

from stillhouse.core.errors import StillhouseError
from stillhouse.core.execute import attempts
from stillhouse.core.execute.docket import Docket
from stillhouse.core.execute.executor import ExecutionError, Executor, WorkerState
from stillhouse.core.execute.job import Job, Outcome, Work
from stillhouse.core.execute.pacing import Pace
from stillhouse.core.execute.raised import retold
from stillhouse.core.execute.ray_cluster import LOCAL, Cluster, amount
from stillhouse.core.execute.ray_crew import Call, Crew, Event, Place, Stage
from stillhouse.core.execute.ray_resources import actor_options

_TICK_S: Final = 0.5
_SILENCE_S: Final = 5.0
_ASKED: Final = 3
_STARTS: Final = 3
_MOST_WAITING: Final = 1000
_ENDED: Final = "ended, or its node left the cluster; if memory was short, use fewer workers"


@final
class RayWorkers(Executor):
    """Workers on a cluster, `cpus` (without it, the work's threads) and `gpus` kept for each.

    Where the cluster has room for fewer, those that it has work, and the others join when nodes
    do. `patience_s` is how long none at all may have a place. A worker's memory is what it alone
    takes, not mapped files.

    Raises:
        UserError: Ray is not installed, or the resources are none that Ray knows.
        ExecutionError: there is no cluster at `address` (`Cluster.connect`).
    """

    def __init__(
        self,
        work: Work,
        workers: int,
        *,
        address: str = LOCAL,
        cpus: float | None = None,
        gpus: float = 0.0,
        placement: str = "default",
        timeout_s: float | None = None,
        memory_mb: float | None = None,
        retries: int = 2,
        patience_s: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        options = actor_options(work, cpus, gpus, placement)
        self._timeout_s, self._docket = timeout_s, Docket(retries)
        self._overgrown = attempts.overgrown(memory_mb or 0.0)
        self._patience_s, self._clock = patience_s, clock
        self._each = f"{amount(options['num_cpus'], 'CPU')} and {amount(gpus, 'GPU')}"
        self._places = [Place(f"worker {number}") for number in range(1, workers + 1)]
        self._unstarted = deque(self._places)
        self._ended: list[Outcome] = []
        self._error: StillhouseError | None = None
        self._pace = Pace()
        self._cluster = Cluster.connect(address)
        self.dashboard = self._cluster.dashboard
        self._crew = Crew(
            self._cluster, work, options, None if memory_mb is None else memory_mb * 1e6
        )
        self._heard_s = self._placed_s = clock()
        self._unanswered = 0
        self._start_some()

    @property
    def capacity(self) -> int:
        return len(self._places) * self._pace.depth

    def submit(self, jobs: Sequence[Job]) -> None:
        self._docket.add(jobs)
        self._dispatch(self._places)

    def finished(self, timeout_s: float | None = None) -> list[Outcome]:
        until_s = None if timeout_s is None else self._clock() + timeout_s
        while not self._ended and self._error is None and self._under_way:
            left_s = _TICK_S if until_s is None else until_s - self._clock()
            try:
                self._hear(max(0.0, min(left_s, _TICK_S)))
                self._check()
            except StillhouseError as error:
                self._error = error
            if left_s <= 0:
                break
        if self._error is not None and not self._ended:
            raise self._error
        ended, self._ended = self._ended, []
        return ended

    def withdraw(self) -> list[int]:
        return self._docket.withdraw()

    def workers(self) -> Sequence[WorkerState]:
        now_s = self._clock()
        return [place.state(now_s) for place in self._places]

    def close(self) -> None:
        self._docket.withdraw()
        try:
            self._crew.close(self._places)
        finally:
            self._cluster.close()

    @property
    def _under_way(self) -> bool:
        return bool(self._docket) or any(place.calls for place in self._places)

    def _start_some(self) -> None:
        waiting = sum(place.stage is Stage.WAITING for place in self._places)
        started = waiting - len(self._unstarted)
        while self._unstarted and started < _MOST_WAITING:
            self._crew.start(self._unstarted.popleft())
            started += 1

    def _hear(self, wait_s: float) -> None:
        """Take in what came, after a wait for the first of it."""
        try:
            self._take(self._crew.events.get(timeout=wait_s))
            while True:
                self._take(self._crew.events.get_nowait())
        except Empty:
            return

    def _take(self, event: Event) -> None:
        place = event.place
        if event.life != place.life:
            return
        self._heard_s = self._clock()
        if event.fault is not None:
            self._fault(place, event.step, event.fault)
        elif event.step == "exceeds":
            self._end(place, self._overgrown)
        elif event.call is not None:
            self._answered(place, event.call, json.loads(event.answer))
            self._dispatch([place])
        else:
            self._crew.advance(event)
            self._start_some()
            self._dispatch([place])

    def _answered(self, place: Place, call: Call, said: Mapping[str, Any]) -> None:
        place.calls.remove(call)
        place.memory_bytes = said["memory_bytes"]
        if place.calls:
            place.calls[0].began_s = self._clock()
        for job, answer in zip(call.jobs, said["answers"], strict=False):
            if "raised" in answer:
                raise retold(answer["raised"])
            if "memory" in answer:
                self._charge(job, attempts.OUT_OF_MEMORY, place, answer["seconds"])
                self._docket.again(call.jobs[len(said["answers"]) :])
                self._end(place, attempts.OUT_OF_MEMORY)
            else:
                self._pace.took(answer["seconds"])
                self._ended.append(self._docket.done(job, answer, place.name))

    def _charge(self, job: Job, reason: str, place: Place, seconds: float) -> None:
        outcome = self._docket.charge(job, reason, place.name, seconds)
        if outcome is not None:
            self._ended.append(outcome)

    def _fault(self, place: Place, step: str, fault: BaseException) -> None:
        ray = self._cluster.ray
        if not isinstance(fault, ray.exceptions.RayError):
            raise ExecutionError(f"the Ray cluster is gone: {_line(fault)}") from fault
        if isinstance(fault, ray.exceptions.RayTaskError):
            raise ExecutionError(
                f"{place.name} cannot {step}: {_line(fault)}; is the same stillhouse installed on "
                "every node?"
            ) from fault
        self._end(place, _reason(ray, fault))

    def _end(self, place: Place, reason: str) -> None:
        """A worker is dead, or is to be: charge its job, and have another in its place."""
        self._crew.end(place)
        jobs = [job for call in place.calls for job in call.jobs]
        took_s = self._clock() - place.calls[0].began_s if place.calls else 0.0
        place.calls.clear()
        place.deaths += 1
        if len(jobs) == 1:
            self._charge(jobs[0], reason, place, took_s)
        else:
            self._docket.suspect(jobs)
        place.failed_starts += place.stage is not Stage.READY
        if place.failed_starts < _STARTS:
            self._crew.start(place)
        else:
            self._give_up(place, reason)
        self._dispatch(self._places)

    def _give_up(self, place: Place, reason: str) -> None:
        place.stage = Stage.LOST
        if all(one.stage is Stage.LOST for one in self._places):
            raise ExecutionError(
                f"no worker can be started: every one died {_STARTS} times before it was ready, "
                f"the last because it {reason}; Ray keeps its workers' output: ray logs"
            )

    def _dispatch(self, places: Iterable[Place]) -> None:
        """Give waiting jobs to workers with room: first to each that has none."""
        for depth in range(1, self._pace.calls + 1):
            for place in places:
                if not self._docket:
                    return
                if place.stage is Stage.READY and len(place.calls) < depth:
                    self._send(place)

    def _send(self, place: Place) -> None:
        ready = sum(one.stage is Stage.READY for one in self._places)
        most = self._pace.jobs(len(self._docket), ready)
        if jobs := self._docket.take(most, place.calls[-1].jobs[0] if place.calls else None):
            self._crew.evaluate(place, Call(jobs, self._clock()))

    def _check(self) -> None:
        """What nobody tells: jobs that take too long, no place for anyone, no cluster any more."""
        now_s = self._clock()
        if self._timeout_s is not None:
            self._end_hung(now_s, self._timeout_s)
        if any(place.stage in (Stage.OPENING, Stage.READY) for place in self._places):
            self._placed_s = now_s
        if now_s - self._heard_s > _SILENCE_S:
            self._heard_s = now_s
            self._unanswered = 0 if self._cluster.answers else self._unanswered + 1
            if self._unanswered >= _ASKED:
                raise ExecutionError(
                    f"the Ray cluster at {self._cluster.address} no longer answers; start it "
                    "again, then resume the run: nothing that was finished is lost"
                )
        if now_s - self._placed_s > self._patience_s:
            raise ExecutionError(
                f"no worker found a place within {self._patience_s:g} s: each asks for "
                f"{self._each}, the cluster has {self._cluster.has()}; ask for less with execute: "
                "{cpus: ..., gpus: ...}, or add nodes"
            )

    def _end_hung(self, now_s: float, timeout_s: float) -> None:
        for place in self._places:
            if place.calls and now_s - place.calls[0].began_s > timeout_s:
                self._end(place, attempts.hung(timeout_s))


def _reason(ray: Any, fault: BaseException) -> str:
    if isinstance(fault, ray.exceptions.OutOfMemoryError) or "low on memory" in str(fault):
        return attempts.OUT_OF_MEMORY
    return _ENDED


def _line(fault: BaseException) -> str:
    """The last line of what Ray says, which is the exception of the other side."""
    return (str(fault).strip() or type(fault).__name__).splitlines()[-1]
