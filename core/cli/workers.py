"""Workers and their pace in words: for the live display, for lines, and for `status`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from heapq import nsmallest
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from stillhouse.core.execute import WorkerState
    from stillhouse.core.run.status import Pace

MOST: Final = 8
"""Workers that get a line of their own."""


def going(pace: Pace, workers: Sequence[WorkerState]) -> str:
    """How the evaluations go, in one line: rate, time left, failures, workers."""
    facts = []
    if pace.per_minute is not None:
        facts.append(f"{figure(pace.per_minute)} a minute")
    if pace.left_s is not None:
        facts.append(left(pace.left_s))
    if told := crew(pace, workers):
        facts.append(told)
    return " · ".join(facts)


def crew(pace: Pace, workers: Sequence[WorkerState]) -> str:
    """How many workers there are and at work, and what went wrong."""
    facts = []
    if workers:
        busy, dead = sum(w.job is not None for w in workers), sum(w.deaths for w in workers)
        facts.append(f"{counted(len(workers), 'worker')}, {busy} busy")
        facts += [f"{dead} died"] if dead else []
    facts += [f"{counted(pace.failed, 'failure')}"] if pace.failed else []
    facts += [f"{counted(pace.repeated, 'attempt')} repeated"] if pace.repeated else []
    return ", ".join(facts)


def rows(workers: Sequence[WorkerState], most: int = MOST) -> list[str]:
    """A line a worker, in their order; of many those that are longest at a job, and how many more.

    `most` lines at most.
    """
    shown = workers
    if len(workers) > most:
        longest = nsmallest(most - 1, range(len(workers)), key=lambda i: _rank(workers[i]))
        shown = [workers[i] for i in sorted(longest)]
    lines = [_row(cells) for cells in _even([_cells(w) for w in shown])]
    if len(shown) < len(workers):
        lines.append(f"  and {len(workers) - len(shown)} more")
    return lines


def _rank(worker: WorkerState) -> tuple[bool, float]:
    return worker.job is None, -worker.since_s


def _cells(worker: WorkerState) -> tuple[str, str, str, str, str]:
    """Name, place, what it does, its memory, its deaths."""
    doing = "waits" if worker.job is None else f"job {worker.job}, {elapsed(worker.since_s)}"
    memory = f"{worker.memory_bytes / 1e6:.0f} MB" if worker.memory_bytes else ""
    return worker.name, worker.place, doing, memory, f"{worker.deaths} died" * bool(worker.deaths)


def _even(table: Sequence[Sequence[str]]) -> Iterator[list[str]]:
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for cells in table:
        yield [cell.ljust(width) for cell, width in zip(cells, widths, strict=True) if width]


def _row(cells: Sequence[str]) -> str:
    return f"  {'  '.join(cells)}".rstrip()


def counted(count: int, noun: str) -> str:
    """ "1 worker", "2 workers"."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def figure(value: float) -> str:
    """Three significant figures at most, all digits of a large number."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def left(seconds: float) -> str:
    """A time that something will take, about."""
    return f"about {elapsed(seconds)} left"


def elapsed(seconds: float) -> str:
    """Seconds, minutes, hours or days."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds < 100 * 60:
        return f"{seconds / 60:.0f} min"
    if seconds < 48 * 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86_400:.0f} days"
