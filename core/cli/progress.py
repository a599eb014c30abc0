"""Progress bars for a terminal, plain lines for a pipe."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

    from stillhouse.core.evaluate.context import Progress


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


@final
class Lines:
    """A `Progress` that prints one line when work starts and one when it ends."""

    def __init__(self) -> None:
        self._open: list[tuple[str, float, str]] = []

    def start(self, label: str, total: int) -> None:
        print(f"{label} ({total}) ...", file=sys.stderr, flush=True)
        self._open.append((label, time.monotonic(), ""))

    def advance(self, steps: int = 1, note: str = "") -> None:
        label, began, old = self._open[-1]
        self._open[-1] = (label, began, note or old)

    def finish(self) -> None:
        label, began, note = self._open.pop()
        seconds = time.monotonic() - began
        print(f"{label}: {seconds:.1f} s  {note}".rstrip(), file=sys.stderr, flush=True)
