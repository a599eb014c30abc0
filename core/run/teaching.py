"""The teacher stage: trained once, stored as an artefact, frozen."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import torch
from torch import nn

from stillhouse.core.distill.settings import TrainSettings
from stillhouse.core.distill.training import fit
from stillhouse.core.evaluate import Artefact, ModuleTeacher, State, Student
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
