"""A run's progress, shown as before and kept in `status.json` for whoever looks from elsewhere."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self, final

from stillhouse.core.execute import WorkerState
from stillhouse.core.run.status import (
    FAILED,
    FINISHED,
    RUNNING,
    STOPPED,
    STOPPING,
    Pace,
    Piece,
    Status,
    born,
)

if TYPE_CHECKING:
    from stillhouse.core.evaluate.context import Progress

_EVERY_S: Final = 1.0
_BEAT_S: Final = 10.0
_SHARE: Final = 0.02
"""Of the time may go into writing: with very many workers a status takes a while."""


@final
class Watching:
    """A `Progress` that passes everything on, and writes the status while it is held with `with`.

    What it is told it only notes, a few microseconds each; a thread of its own writes what is new
    at most every `every_s`, and the time of day every ten seconds even if nothing is. A status that
    cannot be written is no error: the run does not depend on it.

    The figure of the piece of work that is called as `kind` is the best so far. Where `shown` has a
    method `workers(pace, workers)`, it gets what `evaluations` is told, and
    where it has `stopping(text)`, that too.
    """

    def __init__(
        self,
        path: Path,
        shown: Progress,
        *,
        name: str,
        kind: str = "search",
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        every_s: float = _EVERY_S,
    ) -> None:
        self._path, self._shown, self._clock, self._wall = path, shown, clock, wall
        self._workers_shown = getattr(shown, "workers", None)
        self._open: list[_Work] = []
        self._rate = Rate()
        self._pace: Pace | None = None
        self._workers: Sequence[WorkerState] = ()
        self._stage = self._best = self._dashboard = self._message = ""
        self._state, self._new = RUNNING, True
        self._told_at = self._progressed_at = clock()
        now = _text(wall())
        self._still = Status(
            name, RUNNING, os.getpid(), socket.gethostname(), now, now, now, born(), kind=kind
        )
        self._every_s, self._over = every_s, threading.Event()
        self._thread = threading.Thread(target=self._keep, name="status", daemon=True)

    def stage(self, name: str) -> None:
        """Another stage of the run begins."""
        self._stage, self._new = name, True

    def start(self, label: str, total: int) -> None:
        self._open.append(_Work(label, total))
        self._progressed()
        self._shown.start(label, total)

    def advance(self, steps: int = 1, note: str = "") -> None:
        work = self._open[-1]
        work.done += steps
        if note:
            work.note = note
            if work.label == self._still.kind:
                self._best = note
        self._progressed()
        self._shown.advance(steps, note)

    def finish(self) -> None:
        self._open.pop()
        self._progressed()
        self._shown.finish()

    def evaluations(
        self,
        *,
        done: int,
        total: int,
        failed: int,
        repeated: int,
        workers: Sequence[WorkerState],
        dashboard: str = "",
    ) -> None:
        """How the search stands; first told when what is known from before has been counted."""
        now = self._clock()
        self._rate.add(now, done)
        rate = self._rate.per_minute(now)
        left = (total - done) / rate * 60 if rate else None
        self._pace = Pace(done, total, failed, repeated, rate, left)
        self._workers, self._dashboard, self._told_at, self._new = workers, dashboard, now, True
        if self._workers_shown is not None:
            self._workers_shown(self._pace, workers)

    def stopping(self, text: str) -> None:
        """The run was asked to stop, and says what it does about it. Takes no lock."""
        self._state, self._message, self._new = STOPPING, text, True
        say = getattr(self._shown, "stopping", None)
        if say is not None:
            say(text)

    def __enter__(self) -> Self:
        self._write()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        _: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()
        self._state, self._message, self._workers = FINISHED, "", ()
        if isinstance(error, Exception):
            self._state, self._message = FAILED, f"{type(error).__name__}: {error}"
        elif error is not None:
            self._state = STOPPED
        self._write()

    def status(self) -> Status:
        """How the run stands now."""
        now, wall = self._clock(), self._wall()
        age = now - self._told_at
        return replace(
            self._still,
            state=self._state,
            updated=_text(wall),
            progressed=_text(wall - (now - self._progressed_at)),
            stage=self._stage,
            work=[Piece(one.label, one.done, one.total, one.note) for one in tuple(self._open)],
            evaluations=self._pace,
            best=self._best,
            workers=[_aged(one, age) for one in self._workers],
            dashboard=self._dashboard,
            message=self._message,
        )

    def _progressed(self) -> None:
        self._progressed_at, self._new = self._clock(), True

    def _keep(self) -> None:
        written = time.monotonic()
        wait = self._every_s
        while not self._over.wait(wait):
            began = time.monotonic()
            if self._new or began - written >= _BEAT_S:
                self._new = False
                self._write()
                written = time.monotonic()
                wait = max(self._every_s, (written - began) / _SHARE)

    def _write(self) -> None:
        """Beside and renamed into place. Not through to the disk: it is out of date in a second."""
        beside = self._path.with_name(f".writing-{self._path.name}")
        with suppress(OSError):
            try:
                # Born with the mode that the user's mask says: other threads create files too.
                flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
                with os.fdopen(os.open(beside, flags, 0o666), "wb") as file:
                    file.write(self.status().to_json().encode())
                beside.replace(self._path)
            except OSError:
                beside.unlink(missing_ok=True)
                raise


def _aged(worker: WorkerState, age_s: float) -> WorkerState:
    return worker if worker.job is None else replace(worker, since_s=worker.since_s + age_s)


@dataclass
class _Work:
    label: str
    total: int
    done: int = 0
    note: str = ""


@final
class Rate:
    """Evaluations a minute over the last `window_s`, or over the last `least` where that is more.

    What is `done` when it is first told is where it counts from.
    """

    def __init__(self, window_s: float = 300.0, least: int = 10) -> None:
        self._window_s, self._least = window_s, least
        self._kept: deque[tuple[float, int]] = deque()
        self._done = 0

    def add(self, now: float, done: int) -> None:
        self._done, kept = done, self._kept
        if not kept or (done > kept[-1][1] and now - kept[-1][0] >= 1):
            kept.append((now, done))
        while len(kept) > 2 and kept[1][0] <= now - self._window_s:
            if done - kept[1][1] < self._least:
                return
            kept.popleft()

    def per_minute(self, now: float) -> float | None:
        """None until an evaluation has ended."""
        began, before = self._kept[0] if self._kept else (now, self._done)
        if now <= began or self._done <= before:
            return None
        return (self._done - before) / (now - began) * 60


def _text(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
