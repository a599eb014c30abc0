"""Optuna as a contestant: every candidate within the limits is trained from scratch."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import torch

from spoken.clock import Clock
from spoken.entrant import Entrant
from spoken.judging import Candidate, Jury
from stillhouse.core.cli.progress import bars
from stillhouse.core.config import RunFile
from stillhouse.core.distill.settings import TrainSettings
from stillhouse.core.distill.training import fit
from stillhouse.core.errors import TrainingError
from stillhouse.core.evaluate import Silent, State, Student
from stillhouse.core.evaluate.evaluator import predict, skeleton_of
from stillhouse.core.evaluate.skeletons import description, skeleton
from stillhouse.core.plan import make_plan
from stillhouse.core.plugin import Catalogue
from stillhouse.core.run.costing import open_device, settle_costs
from stillhouse.core.run.directory import RunDirectory
from stillhouse.core.run.goals import Goals, goals_of, known_of
from stillhouse.core.run.ledger import Entry
from stillhouse.core.run.opened import Opened, open_run
from stillhouse.core.run.searching import make_study
from stillhouse.core.run.teaching import training_settings
from stillhouse.core.search import Study


def settings_of(opened: Opened, asked: Mapping[str, Any]) -> TrainSettings:
    """The teacher's own training with what the command line changes."""
    changed = {name: value for name, value in asked.items() if value is not None}
    return replace(training_settings(opened), **changed).alone()


def contest(
    entrant: Entrant,
    run: RunFile,
    catalogue: Catalogue,
    source: RunDirectory,
    asked: Mapping[str, Any],
) -> dict[str, Any]:
    """Train candidates until the last time, under the limits and cost models of `source`.

    `source` is a finished stillhouse run of the same seed. Loading data, fitting cost models,
    Optuna's own work and the candidates it proposes outside the limits are not charged.
    """
    plan = make_plan(run, catalogue)
    with RunDirectory.create(entrant.folder, run.to_yaml(), overwrite=True) as directory:
        _inherit(source, directory)
        opened = open_run(plan, catalogue, directory, Silent())
        device = open_device(opened)
        costing, goals = settle_costs(opened, device), goals_of(run.search, {})
        study = make_study(opened, costing.costs, costing.feasible, goals)
        settings, clock = settings_of(opened, asked), Clock()
        candidates = _search(entrant, opened, study, goals, settings, clock)
        end = clock.now()
        with entrant.passing() as folder:
            jury = Jury(opened, device, costing, goals, entrant.base, folder)
            answers = {m: jury.answer(candidates, s) for m, s in entrant.marks.items()}
            lines = jury.lines(candidates)
    return {
        "answers": answers,
        "end": asdict(end),
        "free": asdict(clock.free),
        "training": asdict(settings),
        "limits": [str(limit) for limit in costing.limits],
        "fallbacks": study.fallbacks,
        "candidates": lines,
    }


def _inherit(source: RunDirectory, own: RunDirectory) -> None:
    """Limits, cost models and timings of the stillhouse run with this seed."""
    shutil.copyfile(source.costs, own.costs)
    shutil.copyfile(source.device, own.device)


def _search(
    entrant: Entrant,
    opened: Opened,
    study: Study,
    goals: Goals,
    settings: TrainSettings,
    clock: Clock,
) -> list[Candidate]:
    done: list[Candidate] = []
    with bars() as shown:
        shown.start(f"{entrant.label} seed {entrant.seed}, seconds", round(entrant.seconds))
        while clock.now().on(entrant.base) < entrant.seconds:
            before = clock.now().on(entrant.base)
            with clock.stopped():
                codes = study.ask(1)
            if not len(codes):
                break
            one = _trained(opened, study, codes, settings, clock, len(done))
            done.append(one)
            with clock.stopped():
                known = known_of(one.entry)
                excess = np.array([goals.excess(known)]) if goals.outcomes else None
                study.tell(codes, np.array([goals.values(known)]), excess)
            shown.advance(round(one.at.on(entrant.base) - before), f"{len(done)} trained")
        shown.finish()
    return done


def _trained(
    opened: Opened,
    study: Study,
    codes: np.ndarray,
    settings: TrainSettings,
    clock: Clock,
    number: int,
) -> Candidate:
    """One candidate with fresh weights, trained alone on the task's loss, then validated."""
    space, label = study.problem.space, f"candidate {number}"
    configuration = space.decode(codes[0])
    costs = {name: float(column[0]) for name, column in study.problem.costs.table(codes).items()}
    student = _fresh(opened, configuration, label)
    began, error = clock.now(), ""
    values: dict[str, float] = {}
    try:
        fit(
            student.module,
            structure=student.structure,
            state=State({}, opened.task.data),
            settings=settings,
            context=replace(opened.context, checkpoints=None),
            label=label,
        )
        split = opened.task.data.validation
        values = dict(opened.task.score(predict(student, split), split.targets))
    except TrainingError as failed:
        error = str(failed)
    at = clock.now()
    seconds = (at - began).wall_s
    (key,) = space.keys(codes)
    entry = Entry(number, key, configuration, costs, values, seconds, error)
    return Candidate(at, entry, lambda: student)


def _fresh(opened: Opened, configuration: Mapping[str, Any], label: str) -> Student:
    shape = description(skeleton_of(opened.steps, configuration, opened.context))
    generator = torch.Generator().manual_seed(opened.context.seed(label, "weights"))
    module = skeleton(shape, generator, opened.catalogue)
    return Student(shape["family"], shape["structure"], module)
