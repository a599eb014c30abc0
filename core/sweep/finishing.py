"""The end of a sweep: its best trials finished as runs, certified and reported."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from stillhouse.core.config.runfile import load
from stillhouse.core.errors import LimitError
from stillhouse.core.evaluate.context import Progress
from stillhouse.core.plan import make_plan
from stillhouse.core.plugin import Catalogue
from stillhouse.core.run.directory import RunDirectory
from stillhouse.core.run.engine import execute
from stillhouse.core.run.goals import Goals, front_of, known_of, ranked, varied
from stillhouse.core.run.ledger import Entry
from stillhouse.core.run.summary import RunSummary
from stillhouse.core.sweep.directory import SweepDirectory
from stillhouse.core.sweep.space import goals_of
from stillhouse.core.sweep.trial import Trials

_TRIES: Final = 5
"""Trials that are finished at most for each that the sweep asks for."""

Clock = Callable[[], float]


@dataclass(frozen=True)
class Finished:
    """A trial whose run is finished: its line in the ledger, its folder's name, its summary."""

    entry: Entry
    folder: str
    summary: RunSummary


def finish(
    directory: SweepDirectory,
    trials: Trials,
    entries: Sequence[Entry],
    catalogue: Catalogue,
    progress: Progress,
    clock: Clock = time.monotonic,
) -> tuple[list[Finished], list[str]]:
    """The best trials, finished in order, and a note on each that could not be.

    Of several objectives the front's come first, spread over it. The first's `best` becomes the
    sweep's. What is finished already is read from its folder.

    Raises:
        LimitError: no trial meets the limits, or none of the best does when measured.
    """
    order = candidates(entries, goals_of(trials.section))
    if not order:
        raise LimitError(_none(entries, directory))
    found: list[Finished] = []
    notes: list[str] = []
    wanted = trials.section.finalists
    for entry in order[: wanted * _TRIES]:
        if len(found) == wanted:
            break
        folder = folder_of(entry, directory, trials)
        try:
            summary = _finished(folder, catalogue, progress, clock)
            found.append(Finished(entry, folder.folder.name, summary))
        except LimitError as error:
            notes.append(f"trial {entry.key} was dropped: {error}")
    if not found:
        raise LimitError(f"none of the best trials holds when measured; the first: {notes[0]}")
    _keep_best(directory, directory.trials / found[0].folder / "best")
    return found, notes


def candidates(entries: Sequence[Entry], goals: Goals) -> list[Entry]:
    """Trials that meet every limit on the highest rung that they reached, best first."""
    order = [one for one in ranked(entries, goals, ()) if goals.violation(known_of(one)) == 0]
    if len(goals.objectives) == 1:
        return order
    on = front_of(order, goals, ())
    return varied([one for one, keep in zip(order, on, strict=True) if keep], goals)


def folder_of(entry: Entry, directory: SweepDirectory, trials: Trials) -> RunDirectory:
    """The run directory of a line of the ledger."""
    budget = trials.section.budget
    step = None
    if budget is not None and entry.fidelity is not None:
        step = [float(rung) for rung in budget.rungs].index(entry.fidelity)
    return RunDirectory.existing(directory.trial(int(entry.key), step))


def _finished(
    folder: RunDirectory, catalogue: Catalogue, progress: Progress, clock: Clock
) -> RunSummary:
    if folder.summary.exists():
        return RunSummary.read(folder.summary)
    plan = make_plan(load(folder.run_file, catalogue), catalogue)
    with folder:
        return execute(plan, catalogue, folder, progress, clock)


def _keep_best(directory: SweepDirectory, best: object) -> None:
    beside = directory.folder / ".writing-best"
    shutil.rmtree(beside, ignore_errors=True)
    shutil.copytree(str(best), beside)
    shutil.rmtree(directory.best, ignore_errors=True)
    beside.rename(directory.best)


def _none(entries: Sequence[Entry], directory: SweepDirectory) -> str:
    failed = [entry for entry in entries if entry.error]
    said = f"; {len(failed)} failed, the first: {failed[0].error}" if failed else ""
    return (
        f"none of {len({entry.key for entry in entries})} trials meets the sweep's limits{said} "
        f"({directory.ledger}); loosen the limits, or widen the parameters"
    )
