"""Progress bars for a terminal, plain lines for a pipe."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, final

from stillhouse.core.cli.workers import crew, going, left, rows

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

    from stillhouse.core.evaluate.context import Progress
    from stillhouse.core.execute import WorkerState
    from stillhouse.core.run.status import Pace

_EVERY_S: Final = 60.0


@contextmanager
def bars() -> Iterator[Progress]:
    """Bars where standard error is a terminal, else a line when a piece of work ends."""
    if not sys.stderr.isatty():
        yield Lines()
        return
    from rich.console import Console
    from rich.live import Live

    console = Console(stderr=True)
    shown = Bars(console)
    with Live(get_renderable=shown.picture, console=console, refresh_per_second=5):
        yield shown


@final
class Bars:
    """A `Progress` of stacked rich bars, the workers below; nested work gets its own line.

    It only keeps what it is told: `picture` is drawn from that, by whoever refreshes the terminal.
    """

    def __init__(self, console: Console) -> None:
        self._rich = _rich_bars(console)
        self._open: list[TaskID] = []
        self._told: tuple[Pace, Sequence[WorkerState]] | None = None
        self._said = ""

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
        if not self._open:
            self._told = None

    def workers(self, pace: Pace, workers: Sequence[WorkerState]) -> None:
        """How the evaluations go, over all workers; shown until the work is over."""
        self._told = (pace, workers)

    def stopping(self, text: str) -> None:
        """Shown below everything from the next refresh on."""
        self._said = text

    def picture(self) -> RenderableType:
        """Everything as it is now."""
        from rich.console import Group
        from rich.text import Text

        parts: list[RenderableType] = [self._rich.get_renderable()]
        if told := self._told:
            pace, workers = told
            parts.append(Text(going(pace, workers), style="dim", no_wrap=True))
            lines = rows(workers)
            parts += [Text(line, style="dim", no_wrap=True, overflow="ellipsis") for line in lines]
        if self._said:
            parts.append(Text(self._said, style="bold"))
        return Group(*parts)


def _rich_bars(console: Console) -> RichProgress:
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as RichProgress

    columns = (
        TextColumn("{task.description:<28}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
        TextColumn("{task.fields[note]}", style="dim"),
    )
    return RichProgress(*columns, console=console, auto_refresh=False)


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
        self._told: tuple[Pace, Sequence[WorkerState]] | None = None

    def start(self, label: str, total: int) -> None:
        _say(f"{label} ({total}) ...")
        now = self._clock()
        self._open.append(_Work(label, total, now, now))

    def advance(self, steps: int = 1, note: str = "") -> None:
        work, now = self._open[-1], self._clock()
        work.done, work.note = work.done + steps, note or work.note
        if now - work.told >= _EVERY_S and 0 < work.done < work.total:
            seconds, who = self._outlook(work, now)
            said = f"{left(seconds)}  {work.note}{who}"
            _say(f"{work.label}: {work.done} of {work.total}, {said}")
            work.told = now

    def finish(self) -> None:
        work = self._open.pop()
        if not self._open:
            self._told = None
        _say(f"{work.label}: {self._clock() - work.began:.1f} s  {work.note}")

    def workers(self, pace: Pace, workers: Sequence[WorkerState]) -> None:
        """How the evaluations go, over all workers; said with the next line of the whole."""
        self._told = (pace, workers)

    def stopping(self, text: str) -> None:
        """Said at once."""
        _say(text)

    def _outlook(self, work: _Work, now: float) -> tuple[float, str]:
        """The seconds that a piece of work will take, and who does it."""
        seconds = (now - work.began) / work.done * (work.total - work.done)
        if self._told is None or work is not self._open[0]:
            return seconds, ""
        pace, workers = self._told
        told = crew(pace, workers)
        return pace.left_s or seconds, f"  ({told})" if told else ""


def _say(line: str) -> None:
    print(line.rstrip(), file=sys.stderr, flush=True)
