"""The actors of a search: where each is, what it was sent, and how it gets ready.

An actor says hello (that it has a place, and what it sees), is brought files where it needs them,
opens its bench, and is ready. What it answers comes to one queue as events.
"""

from __future__ import annotations

import enum
import json
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Final, final

from stillhouse.core.execute.executor import ExecutionError, WorkerState
from stillhouse.core.execute.job import Job, Work
from stillhouse.core.execute.raised import retold
from stillhouse.core.execute.ray_bench import RayBench, software
from stillhouse.core.execute.ray_cluster import Cluster
from stillhouse.core.execute.shipping import Token, chunks, parcel

_WATCHING: Final = "watching"


class Stage(enum.Enum):
    """How far an actor has come; LOST is one that is not replaced any more."""

    WAITING = "waiting for a place in the cluster"
    OPENING = "opening"
    READY = "ready"
    LOST = "given up"


@dataclass(eq=False)
class Call:
    """Jobs that are sent together; `began_s` is when the worker had nothing else before them."""

    jobs: Sequence[Job]
    began_s: float = 0.0


@dataclass(eq=False)
class Place:
    """What one actor after the other fills; `life` tells their answers apart."""

    name: str
    stage: Stage = Stage.WAITING
    host: str = ""
    actor: Any = None
    life: int = 0
    deaths: int = 0
    failed_starts: int = 0
    memory_bytes: int = 0
    calls: deque[Call] = field(default_factory=deque)

    def state(self, now_s: float) -> WorkerState:
        """As others see it."""
        call = self.calls[0] if self.calls else None
        return WorkerState(
            self.name,
            self.host or self.stage.value,
            None if call is None else call.jobs[0].number,
            0.0 if call is None else now_s - call.began_s,
            self.deaths,
            self.memory_bytes,
        )


@dataclass(frozen=True)
class Event:
    """An answer of the `life`-th actor of a place to `step`, or the `fault` that came instead.

    Events of one actor come in any order: what was answered is `call`.
    """

    place: Place
    life: int
    step: str
    call: Call | None = None
    answer: Any = None
    fault: BaseException | None = None


@final
class Crew:
    """Starts and ends actors and speaks to them; never waits for one."""

    def __init__(
        self, cluster: Cluster, work: Work, options: Mapping[str, Any], memory_bytes: float | None
    ) -> None:
        self._cluster, self._work, self._memory_bytes = cluster, work, memory_bytes
        self.events: SimpleQueue[Event] = SimpleQueue()
        self._kind = cluster.ray.remote(
            **options, max_restarts=0, max_task_retries=0, concurrency_groups={_WATCHING: 1}
        )(RayBench)
        self._token = Token(work.files)
        self._brought: tuple[str, dict[str, list[Any]]] | None = None

    def start(self, place: Place) -> None:
        """Have an actor for a place, when the cluster has room."""
        place.stage, place.host, place.memory_bytes = Stage.WAITING, "", 0
        place.actor = self._kind.remote(self._work.threads)
        self._call(place, "hello", self._token.asked())

    def evaluate(self, place: Place, call: Call) -> None:
        """Send jobs; the answer is an event "evaluate"."""
        place.calls.append(call)
        self._call(place, "evaluate", json.dumps([job.payload for job in call.jobs]), call=call)

    def end(self, place: Place) -> None:
        """End a place's actor at once, whatever it does; what it still answers is not heard."""
        place.life += 1
        if place.actor is not None:
            self._cluster.ray.kill(place.actor)
            place.actor = None

    def close(self, places: Sequence[Place]) -> None:
        """End all actors, and forget what was brought."""
        self._token.close()
        for place in places:
            self.end(place)
        self._brought = None

    def advance(self, event: Event) -> None:
        """The next step to being ready, after "hello", "bring" or "open" was answered.

        Raises:
            ExecutionError: the actor's software differs, or it cannot open its bench.
            StillhouseError: what opening raised.
        """
        place, answer = event.place, json.loads(event.answer)
        if "raised" in answer:
            raise retold(answer["raised"])
        if "failed" in answer:
            raise ExecutionError(f"{place.name} on {place.host} cannot begin: {answer['failed']}")
        if event.step == "hello":
            place.stage, place.host = Stage.OPENING, answer["host"]
            _refuse_others(place, answer)
            if answer["sees"]:
                self._open(place, self._work.spec)
            else:
                self._call(place, "bring", *self._shipment())
        elif event.step == "bring":
            self._open(place, {**self._work.spec, "brought": answer["folder"]})
        else:
            place.stage, place.failed_starts = Stage.READY, 0

    def _open(self, place: Place, spec: Mapping[str, Any]) -> None:
        if self._memory_bytes is not None:
            self._call(place, "exceeds", self._memory_bytes, group=_WATCHING)
        self._call(place, "open", self._work.opener, json.dumps(spec))

    def _shipment(self) -> tuple[str, dict[str, list[Any]]]:
        """The files in the object store, put there once; actors get references."""
        if self._brought is None:
            put = self._cluster.ray.put
            files: Mapping[str, Path] = self._work.files
            parcels = {name: asdict(parcel(path)) for name, path in files.items()}
            parts = {name: [put(part) for part in chunks(path)] for name, path in files.items()}
            self._brought = json.dumps(parcels), parts
        return self._brought

    def _call(
        self,
        place: Place,
        step: str,
        *given: Any,
        call: Call | None = None,
        group: str | None = None,
    ) -> None:
        method = getattr(place.actor, step)
        life, events = place.life, self.events
        sent = (method.options(concurrency_group=group) if group else method).remote(*given)

        def heard(future: Any) -> None:
            fault = future.exception()
            answer = None if fault is not None else future.result()
            events.put(Event(place, life, step, call, answer, fault))

        sent.future().add_done_callback(heard)


def _refuse_others(place: Place, theirs: Mapping[str, Any]) -> None:
    differing = {name: (own, theirs[name]) for name, own in software().items()}
    for name, (own, found) in differing.items():
        if own != found:
            raise ExecutionError(
                f"{place.name} on {place.host}: expected {name} {own} as here, got {name} {found}; "
                "install the same versions on every node"
            )
