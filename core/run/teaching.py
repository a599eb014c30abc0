"""The teacher stage: trained once, stored as an artefact, frozen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

import torch
from torch import nn

from stillhouse.core.distill.settings import TrainSettings
from stillhouse.core.distill.training import fit
from stillhouse.core.evaluate import Artefact, ModuleTeacher, State, Student
from stillhouse.core.evaluate.evaluator import predict
from stillhouse.core.plan.objectives import refuse_beyond_best
from stillhouse.core.run.goals import Goals, goals_of
from stillhouse.core.run.opened import Opened


def training_settings(opened: Opened) -> TrainSettings:
    """The teacher section's training parameters, also used for the control networks."""
    training = asdict(opened.plan.run.teacher.training)
    training["patience"] = training["patience"] or None
    return TrainSettings(**training)


def train_teacher(opened: Opened) -> Student:
    """The teacher as a network with trained weights; from the store when it is there."""
    folder = opened.directory.checkpoints / f"teacher-{opened.origin}"
    artefact = opened.store.memo("teacher", opened.origin, lambda: _trained(opened, folder), folder)
    module = _fresh(opened)
    module.load_state_dict(dict(artefact.tensors), strict=True)
    updates = int(artefact.record["updates"])
    return Student(opened.family.name, opened.full, module.eval(), updates)


def initial_state(opened: Opened, teacher: Student) -> State:
    """What the recipe starts from: the teacher under the name "teacher", and the data."""
    widths = opened.family.taps(opened.full)
    module = teacher.module.to(opened.context.device)
    return State({"teacher": ModuleTeacher(module, tuple(widths), widths)}, opened.task.data)


def settle_goals(opened: Opened, teacher: Student) -> Goals:
    """The run's goals; limits in percent are of the teacher's metrics on the validation split.

    Raises:
        LimitError: a percentage comes to more than the metric can be.
    """
    search = opened.plan.run.search
    values: Mapping[str, float] = {}
    if any(limit.relative for limit in search.outcome_limits):
        split = opened.task.data.validation
        values = opened.task.score(predict(teacher, split), split.targets)
    goals = goals_of(search, values)
    known = {metric.name: metric for metric in opened.task.metrics}
    for limit in goals.outcomes:
        refuse_beyond_best(limit, known[limit.cost])
    return goals


def _fresh(opened: Opened) -> nn.Module:
    generator = torch.Generator().manual_seed(opened.context.seed("teacher", "weights"))
    return opened.family.build(opened.full, generator)


def _trained(opened: Opened, folder: Path) -> Artefact:
    module = _fresh(opened)
    result = fit(
        module,
        structure=opened.full,
        state=State({}, opened.task.data),
        settings=training_settings(opened),
        context=replace(opened.context, checkpoints=folder),
        label="teacher",
    )
    return Artefact(module.state_dict(), {"updates": result.updates})
