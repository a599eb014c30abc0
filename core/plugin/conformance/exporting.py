"""What leaves a run: the student, all of it, and nothing that only training needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import cast

import numpy as np
import torch
from torch import nn

from stillhouse.core.evaluate import ModuleTeacher, State, Student
from stillhouse.core.measure import Target
from stillhouse.core.plugin.conformance.check import unmet
from stillhouse.core.plugin.conformance.trial import Trial
from stillhouse.core.run.opened import built

_DROP = "drop it before returning the state: only what answers is exported"
_TOLERANCE = 1e-3
"""Of the largest answer, between torch and the target; a target's own tolerance is stricter."""


def check_export(trial: Trial) -> None:
    """The target answers as the module does; no tensor is a teacher's, or idle in answering."""
    student = trial.first.last.student
    if student is None:
        return
    _check_sharing(student, trial.first.last)
    _check_idle(student, trial)
    record = trial.catalogue.target(trial.setup.runtime)
    target = cast(Target, built(trial.catalogue, record, {}))
    path = trial.folder / f"exported{target.suffix}"
    target.export(student.module, trial.opened.task.example(1), path)
    inputs = trial.opened.task.example(4)
    with torch.inference_mode():
        ours = torch.cat([student.module(one[None]) for one in inputs]).numpy()
    theirs = np.concatenate([target.run(path, one[None]) for one in inputs])
    difference = float(np.abs(ours - theirs).max())
    if not difference <= _TOLERANCE * max(1.0, float(np.abs(ours).max())):
        unmet(
            f"{trial.setup.runtime} to answer as the module does", f"answers {difference:g} away",
            "make the forward pass of operations that export as they are",
        )  # fmt: skip


def _check_sharing(student: Student, state: State) -> None:
    """No module or tensor is a teacher's itself; copies of weights are the student's own."""
    for name, teacher in state.teachers.items():
        if not isinstance(teacher, ModuleTeacher):
            continue
        theirs = {tensor.data_ptr() for tensor in _tensors(teacher.module)}
        modules = {id(part) for part in teacher.module.modules()}
        for place, part in student.module.named_modules():
            if id(part) in modules:
                unmet("a student of its own layers", f"'{place}', a layer of '{name}'", _DROP)
        for place, tensor in student.module.state_dict().items():
            if tensor.numel() and tensor.data_ptr() in theirs:
                unmet("a student of its own tensors", f"'{place}', a tensor of '{name}'", _DROP)


def _check_idle(student: Student, trial: Trial) -> None:
    """Every parameter takes part in the answers, as far as gradients can tell."""
    family, module = trial.opened.family, student.module
    plain = None
    if student.family == family.name:
        plain = family.build(student.structure, torch.Generator().manual_seed(0)).eval()
    inputs = trial.opened.task.data.validation.inputs
    idle = set(_idle(module, lambda: module(inputs)))
    if plain is not None:
        network = plain
        idle -= set(_idle(network, lambda: network(inputs)))
    if idle:
        unmet("every parameter to take part in the answers", f"idle: {min(idle)}", _DROP)


def _idle(module: nn.Module, run: Callable[[], torch.Tensor]) -> Iterator[str]:
    """Names of floating parameters without a gradient; none where answers have no gradient."""
    parameters = {n: p for n, p in module.named_parameters() if p.is_floating_point()}
    asked = {name: p.requires_grad for name, p in parameters.items()}
    try:
        for parameter in parameters.values():
            parameter.requires_grad_(True)
        with torch.enable_grad():
            total = run().float().sum()
        if not (parameters and total.requires_grad):
            return
        slopes = torch.autograd.grad(total, list(parameters.values()), allow_unused=True)
        yield from (name for name, s in zip(parameters, slopes, strict=True) if s is None)
    finally:
        for name, parameter in parameters.items():
            parameter.requires_grad_(asked[name])


def _tensors(module: nn.Module) -> Iterator[torch.Tensor]:
    yield from (tensor for tensor in module.state_dict().values() if tensor.numel())
