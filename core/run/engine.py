"""A run from plan to report. Every stage answers from disk what an earlier try already did."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

from stillhouse.core.atomic import write_atomically
from stillhouse.core.errors import TrainingError, UserError
from stillhouse.core.evaluate import Progress, Student
from stillhouse.core.evaluate.artefacts import fingerprint
from stillhouse.core.evaluate.evaluator import CandidateError, Evaluator
from stillhouse.core.measure import DeviceFile
from stillhouse.core.plain_json import read
from stillhouse.core.plan import Plan
from stillhouse.core.plugin import Catalogue
from stillhouse.core.plugin.versions import versions
from stillhouse.core.run.arms import compare
from stillhouse.core.run.certifying import certify
from stillhouse.core.run.controls import Control, control_networks
from stillhouse.core.run.costing import Costing, device_note, open_device, settle_costs
from stillhouse.core.run.directory import RunDirectory
from stillhouse.core.run.executors import executor_of, refuse_missing
from stillhouse.core.run.finalists import Finalist, recipe_facts
from stillhouse.core.run.goals import Goals
from stillhouse.core.run.ledger import Entry, Ledger
from stillhouse.core.run.network_latency import network_latency
from stillhouse.core.run.opened import Opened, open_run
from stillhouse.core.run.pool import keep_pool
from stillhouse.core.run.reporting import write_reports
from stillhouse.core.run.searching import make_study, objectives, search
from stillhouse.core.run.status import STATUS_FILE
from stillhouse.core.run.stopping import Stopping
from stillhouse.core.run.summary import RunSummary
from stillhouse.core.run.teaching import (
    initial_state,
    refuse_hopeless,
    settle_goals,
    train_teacher,
)
from stillhouse.core.run.telling import Told, save_best, summarise
from stillhouse.core.run.together import prepare_all, together
from stillhouse.core.run.watching import Watching
from stillhouse.core.search import Study

Clock = Callable[[], float]


@final
class Stopwatch:
    """Seconds each stage took, added up over all tries of a run and kept in its folder."""

    def __init__(self, path: Path, clock: Clock, told: Callable[[str], None] | None = None) -> None:
        self._path, self._clock, self._told = path, clock, told
        self.seconds = _seconds_in(path)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        began = self._clock()
        if self._told is not None:
            self._told(name)
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + self._clock() - began
            # Times are not worth a run, and a full disk is told by what matters.
            with suppress(OSError):
                write_atomically(self._path, json.dumps(self.seconds))


def _seconds_in(path: Path) -> dict[str, float]:
    """What earlier tries took; nothing that matters is lost with a damaged file."""
    try:
        kept = read(path)
        return {str(name): float(spent) for name, spent in kept.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


@dataclass(frozen=True, eq=False)
class Explored:
    """A run whose evaluations are spent; nothing is exported or certified yet."""

    opened: Opened
    device: DeviceFile
    costing: Costing
    teacher: Student
    goals: Goals
    evaluator: Evaluator
    study: Study
    entries: Sequence[Entry]
    notes: Sequence[str]


def explore(
    plan: Plan,
    catalogue: Catalogue,
    directory: RunDirectory,
    progress: Progress,
    watch: Stopwatch,
) -> Explored:
    """The first half of a run in a directory held by the caller: up to the last evaluation.

    Raises like `execute`.
    """
    code = {} if plan.run.execute.kind == "inline" else versions(plan, catalogue)
    refuse_missing(plan)
    opened = open_run(plan, catalogue, directory, progress)
    objectives(opened)
    refuse_hopeless(opened)
    with watch.stage("costs"):
        fresh = device_note(opened)
        device = open_device(opened)
        opened = replace(opened, context=replace(opened.context, machine=device.identity))
        costing = settle_costs(opened, device)
        keep_pool(opened, costing)
        timed = replace(opened.context, latency=network_latency(opened, device))
        opened = replace(opened, context=timed)
        directory.settled()
    with together(opened) as shared:
        with watch.stage("teacher"):
            teacher = train_teacher(shared)
            state = initial_state(shared, teacher)
            goals = settle_goals(opened, teacher)
        with watch.stage("prepare"):
            preparing = Evaluator(shared.steps, state, shared.context, shared.store, shared.origin)
            prepare_all(shared, preparing)
    evaluator = Evaluator(opened.steps, state, opened.context, opened.store, opened.origin)
    with watch.stage("search"):
        study = make_study(opened, costing.costs, costing.feasible, goals)
        with (
            Ledger(directory.ledger, _fingerprint(opened, costing.facts(), goals)) as ledger,
            executor_of(opened, evaluator, code) as executor,
            _stopping(progress) as stop,
        ):
            entries = search(opened, evaluator, executor, study, ledger, goals, stop)
    notes = (*fresh, *costing.notes, *_sampler_notes(opened, study))
    return Explored(
        opened, device, costing, teacher, goals, evaluator, study, entries, notes
    )  # fmt: skip


def execute(
    plan: Plan,
    catalogue: Catalogue,
    directory: RunDirectory,
    progress: Progress,
    clock: Clock = time.monotonic,
) -> RunSummary:
    """Run a plan in a directory held by the caller; continue where an earlier try stopped.

    Raises:
        LimitError: limits on known costs cannot be met, before anything is trained; or no
            evaluated candidate meets those on metrics, after all evaluations.
        StillhouseError: what else the user can mend; everything finished so far is kept.
    """
    status = directory.folder / STATUS_FILE
    with Watching(status, progress, name=plan.run.name) as watching:
        return _executed(plan, catalogue, directory, watching, clock)


def _executed(
    plan: Plan, catalogue: Catalogue, directory: RunDirectory, watching: Watching, clock: Clock
) -> RunSummary:
    watch = Stopwatch(directory.folder / "stages.json", clock, watching.stage)
    done = explore(plan, catalogue, directory, watching, watch)
    opened, device, costing, goals = done.opened, done.device, done.costing, done.goals
    evaluator, exports = done.evaluator, directory.folder / "exports"
    with watch.stage("finalists"):
        certified = certify(
            opened, evaluator, device, done.entries, costing.finalist_limits, goals, exports
        )
        certified, arms = compare(
            opened, evaluator, device, certified, costing.finalist_limits, goals, exports
        )
        exhibits, unshown = _exhibits(evaluator, certified.passed[0])
    with watch.stage("controls"):
        controls, unfinished = _controls(opened, evaluator, certified.passed[0])
    said = (done.notes, certified.notes, arms.notes)
    notes = [note for some in (*said, unshown, unfinished) for note in some]
    told = Told(
        opened, device, costing, goals, done.entries, done.teacher, certified, controls, exports,
        notes, arms, exhibits,
    )  # fmt: skip
    summary = summarise(told, watch.seconds)
    save_best(told, summary)
    write_atomically(directory.summary, summary.to_json())
    write_reports(catalogue, summary, directory.folder)
    for passing in (directory.checkpoints, exports):
        shutil.rmtree(passing, ignore_errors=True)
    return summary


def _stopping(progress: Progress) -> Stopping:
    if isinstance(progress, Watching):
        return Stopping(progress.stopping)
    return Stopping(_say)


def _say(text: str) -> None:
    """Straight to standard error: a signal may have come while its buffer is held."""
    os.write(2, f"\n{text}\n".encode())


def _sampler_notes(opened: Opened, study: Study) -> tuple[str, ...]:
    """What the sampler says about its choices, and how often it was at a loss."""
    said = tuple(f"sampler: {note}" for note in study.notes)
    if not study.fallbacks:
        return said
    name = opened.plan.run.search.sampler.name
    return (
        *said,
        f"{study.fallbacks} of {len(study.trials)} candidates were drawn at random within the "
        f"limits: sampler '{name}' proposed none that meets them in its tries",
    )


def _exhibits(
    evaluator: Evaluator, found: Finalist
) -> tuple[Sequence[Mapping[str, Any]], tuple[str, ...]]:
    """What methods show, or none and a note: a found model is not lost with a picture."""
    try:
        return evaluator.exhibits(found.entry.configuration), ()
    except CandidateError as error:
        return (), (f"a method had nothing to show in the report: {error}",)


def _controls(
    opened: Opened, evaluator: Evaluator, found: Finalist
) -> tuple[Sequence[Control], tuple[str, ...]]:
    """The controls, or none and a note: a found model is not lost because a control diverged."""
    try:
        return control_networks(opened, evaluator, found), ()
    except (TrainingError, UserError) as error:
        return (), (f"the controls could not be trained: {error}",)


def _fingerprint(opened: Opened, costs: Mapping[str, object], goals: Goals) -> str:
    """What the ledger's entries depend on; limits on metrics and ladders only where there are."""
    run = opened.plan.run.search
    more = (*goals.names, *((run.eta,) if len(run.rungs) > 1 else ()))
    if (screened := (run.proposals, run.regressions)) != (1, 1):
        more = (*more, *screened)
    if run.ahead:
        more = (*more, "ahead", run.ahead)
    if not opened.plan.run.execute.deterministic:
        more = (*more, "as they come")
    return fingerprint(
        opened.origin, recipe_facts(opened), repr(opened.plan.space.dimensions), costs,
        run.sampler.name, dict(run.sampler.fixed), run.batch, run.fidelity,
        run.maximize, run.minimize, *more,
    )  # fmt: skip
