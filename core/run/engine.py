"""A run from plan to report. Every stage answers from disk what an earlier try already did."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from stillhouse.core.evaluate import Progress
from stillhouse.core.evaluate.artefacts import fingerprint
from stillhouse.core.evaluate.evaluator import Evaluator
from stillhouse.core.plan import Plan
from stillhouse.core.plugin import Catalogue
from stillhouse.core.run.controls import control_networks
from stillhouse.core.run.costing import open_device, settle_costs
from stillhouse.core.run.directory import RunDirectory, write_atomically
from stillhouse.core.run.finalists import certify, recipe_facts
from stillhouse.core.run.ledger import Ledger
from stillhouse.core.run.opened import Opened, open_run
from stillhouse.core.run.reporting import write_reports
from stillhouse.core.run.searching import make_sampler, objectives, search
from stillhouse.core.run.summary import RunSummary
from stillhouse.core.run.teaching import initial_state, train_teacher
from stillhouse.core.run.telling import Told, save_best, summarise

Clock = Callable[[], float]


@dataclass
class Stopwatch:
    """Seconds each stage took, over all tries of a run."""

    clock: Clock
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        began = self.clock()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + self.clock() - began


def execute(
    plan: Plan,
    catalogue: Catalogue,
    directory: RunDirectory,
    progress: Progress,
    clock: Clock = time.monotonic,
) -> RunSummary:
    """Run a plan in a directory held by the caller; continue where an earlier try stopped.

    Raises:
        LimitError: the limits cannot be met, before anything is trained.
        StillhouseError: what else the user can mend; everything finished so far is kept.
    """
    watch = Stopwatch(clock)
    opened = open_run(plan, catalogue, directory, progress)
    wanted = objectives(opened)
    with watch.stage("costs"):
        device = open_device(opened)
        costing = settle_costs(opened, device)
    with watch.stage("teacher"):
        teacher = train_teacher(opened)
        state = initial_state(opened, teacher)
    evaluator = Evaluator(opened.steps, state, opened.context, opened.store, opened.origin)
    with watch.stage("prepare"):
        _prepare(opened, evaluator)
    with watch.stage("search"):
        sampler = make_sampler(opened, costing.costs, costing.feasible)
        with Ledger(directory.ledger, _fingerprint(opened, costing.facts())) as ledger:
            entries = search(opened, evaluator, sampler, costing.costs, ledger)
    exports = directory.folder / "exports"
    with watch.stage("finalists"):
        certified = certify(opened, evaluator, device, entries, costing.limits, wanted, exports)
    with watch.stage("controls"):
        controls = control_networks(opened, evaluator, certified.passed[0])
    told = Told(opened, device, costing, sampler, entries, teacher, certified, controls, exports)
    summary = summarise(told, _stages(directory, watch.seconds))
    save_best(told, summary)
    write_atomically(directory.summary, summary.to_json())
    write_reports(catalogue, summary, directory.folder)
    for passing in (directory.checkpoints, exports):
        shutil.rmtree(passing, ignore_errors=True)
    return summary


def _prepare(opened: Opened, evaluator: Evaluator) -> None:
    """Have everything prepared that does not depend on the candidate, before the search."""
    space = opened.plan.space
    if all(opened.plan.artefacts(b.step) == 1 for b in opened.steps if b.step.info.prepares):
        evaluator.realise(space.decode(space.corners()[0]), opened.plan.run.search.fidelity)


def _fingerprint(opened: Opened, costs: Mapping[str, object]) -> str:
    run = opened.plan.run.search
    return fingerprint(
        opened.origin, recipe_facts(opened), repr(opened.plan.space.dimensions), costs,
        run.sampler.name, dict(run.sampler.fixed), run.batch, run.fidelity,
        run.maximize, run.minimize,
    )  # fmt: skip


def _stages(directory: RunDirectory, seconds: Mapping[str, float]) -> dict[str, float]:
    """Stage times; a resumed run keeps the longer of what each try spent."""
    path = directory.folder / "stages.json"
    before = json.loads(path.read_text("utf-8")) if path.exists() else {}
    merged = {name: max(spent, before.get(name, 0.0)) for name, spent in seconds.items()}
    write_atomically(path, json.dumps(merged))
    return merged
