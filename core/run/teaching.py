"""The teacher stage: trained once, stored as an artefact, frozen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from stillhouse.core.config.teacher import CHANNELS
from stillhouse.core.distill.settings import TrainSettings
from stillhouse.core.distill.training import fit
from stillhouse.core.errors import UserError
from stillhouse.core.evaluate import (
    Artefact,
    ModuleTeacher,
    State,
    Student,
)
from stillhouse.core.evaluate.evaluator import BoundStep, predict
from stillhouse.core.evaluate.named_weights import take_named
from stillhouse.core.plan.objectives import refuse_beyond_best
from stillhouse.core.run.frozen import train_head
from stillhouse.core.run.goals import Goals, goals_of
from stillhouse.core.run.opened import Opened


def training_settings(opened: Opened) -> TrainSettings:
    """The teacher section's training parameters, also used for the control networks."""
    training = asdict(opened.plan.run.teacher.training)
    training["patience"] = training["patience"] or None
    for key in ("freeze", CHANNELS):
        del training[key]
    return TrainSettings(**training)


def train_teacher(opened: Opened) -> Student:
    """The teacher as a network with trained weights; from the store when it is there."""
    folder = opened.directory.checkpoints / f"teacher-{opened.origin}"
    artefact = opened.store.memo("teacher", opened.origin, lambda: _trained(opened, folder), folder)
    module = _fresh(opened)
    module.load_state_dict(dict(artefact.tensors), strict=True)
    updates = int(artefact.record["updates"])
    return Student(opened.teacher_family.name, opened.teacher_full, module.eval(), updates)


def initial_state(opened: Opened, teacher: Student) -> State:
    """What the recipe starts from: the teacher under the name "teacher", and the data."""
    widths = opened.teacher_family.taps(opened.teacher_full)
    module = teacher.module.to(opened.context.device)
    train = opened.task.data.train
    seen = None if opened.task.augments else train
    stages = opened.teacher_family.stages(opened.teacher_full)
    channels = opened.teacher_task.channels
    teaching = ModuleTeacher(module, tuple(widths), widths, seen, stages, channels)
    return State({"teacher": teaching}, opened.task.data)


def refuse_hopeless(opened: Opened) -> None:
    """Raise what a method says of the space's corners when it says so of all of them.

    A candidate that a method refuses is a line in the ledger; a run of which all are refused would
    train a teacher for nothing.
    """
    widths = opened.teacher_family.taps(opened.teacher_full)
    stages = opened.teacher_family.stages(opened.teacher_full)
    channels = opened.teacher_task.channels
    shape = ModuleTeacher(nn.Identity(), tuple(widths), widths, stages=stages, channels=channels)
    state, space = State({"teacher": shape}, opened.task.data), opened.plan.space
    corners = [space.decode(row) for row in space.corners()]
    for bound in opened.steps:
        said = [_refusal(opened, bound, state, corner) for corner in corners]
        if all(said) and said[0] is not None:
            raise said[0]


def _refusal(
    opened: Opened, bound: BoundStep, state: State, configuration: Mapping[str, Any]
) -> UserError | None:
    try:
        bound.method.check(state, bound.choice(configuration), bound.context(opened.context))
    except UserError as error:
        return error
    return None


def settle_goals(opened: Opened, teacher: Student) -> Goals:
    """The run's goals; limits in percent are of the teacher's metrics on the validation split.

    Raises:
        LimitError: a percentage comes to more than the metric can be.
    """
    search = opened.plan.run.search
    values: Mapping[str, float] = {}
    if any(limit.relative for limit in search.outcome_limits):
        split = opened.teacher_task.data.validation
        values = opened.task.score(predict(teacher, split), split.targets)
    goals = goals_of(search, values)
    known = {metric.name: metric for metric in opened.task.metrics}
    for limit in goals.outcomes:
        refuse_beyond_best(limit, known[limit.cost])
    return goals


def _fresh(opened: Opened) -> nn.Module:
    generator = torch.Generator().manual_seed(opened.context.seed("teacher", "weights"))
    return opened.teacher_family.build(opened.teacher_full, generator)


def _trained(opened: Opened, folder: Path) -> Artefact:
    module = _fresh(opened)
    family, full = opened.teacher_family, opened.teacher_full
    training = opened.plan.run.teacher.training
    take_named(module, family, opened.teacher_params(), full, "teacher", training.freeze)
    task = opened.teacher_task
    context = replace(opened.context, task=task, family=family, full=full, checkpoints=folder)
    settings = training_settings(opened)
    if training.freeze:
        result = train_head(module, settings, context)
    else:
        state = State({}, task.data)
        result = fit(
            module, structure=full, state=state, settings=settings, context=context, label="teacher"
        )
    return Artefact(module.state_dict(), {"updates": result.updates})
