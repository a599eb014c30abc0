"""Progress bars for a terminal, plain lines for a pipe."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, final

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

    from stillhouse.core.evaluate.context import Progress

_EVERY_S: Final = 60.0


@contextmanager
def bars() -> Iterator[Progress]:
    """Bars where standard error is a terminal, else a line when a piece of work ends."""
    if not sys.stderr.isatty():
        yield Lines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as RichProgress

    columns = (
        TextColumn("{task.description:<28}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
        TextColumn("{task.fields[note]}", style="dim"),
    )
    with RichProgress(*columns, console=Console(stderr=True), refresh_per_second=5) as rich:
        yield Bars(rich)


@final
class Bars:
    """A `Progress` of stacked rich bars; nested work gets its own line."""

    def __init__(self, rich: RichProgress) -> None:
        self._rich = rich
        self._open: list[TaskID] = []

    def start(self, label: str, total: int) -> None:
        self._open.append(self._rich.add_task(label, total=total, note=""))

    def advance(self, steps: int = 1, note: str = "") -> None:
        if note:
            self._rich.update(self._open[-1], advance=steps, note=note)
        else:
            self._rich.update(self._open[-1], advance=steps)

    def finish(self) -> None:
        task = self._open.pop()
        self._rich.update(task, completed=self._rich.tasks[task].completed)
        self._rich.stop_task(task)


@dataclass
class _Work:
    """One open piece of work, and when it was last spoken of."""

    label: str
    total: int
    began: float
    told: float
    done: int = 0
    note: str = ""


@final
class Lines:
    """A `Progress` that prints a line when work starts, one when it ends, and one each minute."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._open: list[_Work] = []
        self._clock = clock

    def start(self, label: str, total: int) -> None:
        _say(f"{label} ({total}) ...")
        now = self._clock()
        self._open.append(_Work(label, total, now, now))

    def advance(self, steps: int = 1, note: str = "") -> None:
        work, now = self._open[-1], self._clock()
        work.done, work.note = work.done + steps, note or work.note
        if now - work.told >= _EVERY_S and 0 < work.done < work.total:
            left = (now - work.began) / work.done * (work.total - work.done)
            _say(f"{work.label}: {work.done} of {work.total}, {_time(left)} left  {work.note}")
            work.told = now

    def finish(self) -> None:
        work = self._open.pop()
        _say(f"{work.label}: {self._clock() - work.began:.1f} s  {work.note}")


def _say(line: str) -> None:
    print(line.rstrip(), file=sys.stderr, flush=True)


def _time(seconds: float) -> str:
    if seconds < _EVERY_S:
        return f"about {seconds:.0f} s"
    if seconds < 100 * 60:
        return f"about {seconds / 60:.0f} min"
    return f"about {seconds / 3600:.1f} h"
