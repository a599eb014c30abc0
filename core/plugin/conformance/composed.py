"""A recipe of two methods carried out: realised, exported, saved, loaded and counted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, Literal

import numpy as np
import torch
from torch import nn

from stillhouse.core.cost import terms
from stillhouse.core.cost.sheet import OperatorSheet
from stillhouse.core.errors import UserError
from stillhouse.core.evaluate import Student
from stillhouse.core.evaluate.evaluator import recipe_sheet, skeleton_of
from stillhouse.core.evaluate.skeletons import description
from stillhouse.core.plugin.catalogue import Catalogue
from stillhouse.core.plugin.conformance.check import Setup, unmet
from stillhouse.core.plugin.conformance.exporting import check_export
from stillhouse.core.plugin.conformance.trial import Trial
from stillhouse.core.run.loading import load
from stillhouse.core.run.saving import save_model
from stillhouse.core.run.teaching import refuse_hopeless


def verdict(
    name: str, setup: Setup, catalogue: Catalogue
) -> tuple[Literal["composed", "refused", "broken"], str]:
    """Carry out a recipe; what came of it, and why where it is not composed.

    Refused is what a method's `check` refuses, which a run is told before anything is trained.
    """
    trial = Trial(name, setup, catalogue)
    try:
        refuse_hopeless(trial.opened)
    except UserError as refusal:
        return "refused", str(refusal)
    try:
        for invariant in INVARIANTS:
            invariant(trial)
    except Exception as broken:
        return "broken", f"{type(broken).__name__}: {broken}"
    return "composed", ""


def check_shape(trial: Trial) -> None:
    """What is measured before training is described as what the recipe makes."""
    made, planned = _student(trial), _skeleton(trial)
    ours, theirs = description(planned), description(made)
    for key in ours:
        if ours[key] != theirs[key]:
            unmet(f"the {key} of the skeleton as that made, {theirs[key]}", ours[key], _MEND)


def check_costs(trial: Trial) -> None:
    """The recipe's sheet has the parameters that the network has.

    Of one that is a graph, and has none in torch, the network that the graph was made of.
    """
    count = next(n for n in map(_count, _networks(trial)) if n)
    ours = terms.totals(_sheet(trial), ("parameters",))["parameters"].tolist()
    if ours != [count]:
        unmet(f"a sheet of the network's {count} parameters", ours, _MEND)


def check_zeros(trial: Trial) -> None:
    """Weights that a method made zero for good are zero at the end, whatever trained since.

    A layer whose weights are not torch's, packed or in a graph, is not looked at.
    """
    tensors = _student(trial).module.state_dict()
    for row in _sheet(trial).rows:
        weight = tensors.get(f"{row.name}.weight")
        share = float(np.ravel(row["density"])[0])
        if weight is None or share == 1:
            continue
        stored, most = int(weight.count_nonzero()), round(share * weight.numel())
        if stored > most:
            unmet(f"at most {most} weights of {row.name} that are not zero", stored, _MEND)


def check_loading(trial: Trial) -> None:
    """Saved as a run saves it, the model is loaded and answers bit for bit as it did."""
    student = _student(trial)
    exported = trial.folder / "exported.onnx"
    save_model(trial.folder / "best", student, exported, "", {})
    inputs = trial.opened.task.data.validation.inputs
    with torch.inference_mode():
        ours, theirs = student.module(inputs), load(trial.folder / "best", trial.catalogue)(inputs)
    if not torch.equal(ours, theirs):
        difference = float((ours - theirs).abs().max())
        unmet("the loaded model to answer as it did", f"answers {difference:g} away", _MEND)


INVARIANTS: Final[tuple[Callable[[Trial], None], ...]] = (
    check_export,
    check_loading,
    check_shape,
    check_costs,
    check_zeros,
)
"""In this order: what is exported is what is saved."""
_MEND: Final = "let each of the two work on what the other leaves"


def _student(trial: Trial) -> Student:
    student = trial.first.last.student
    if student is None:
        unmet("a student at the end of the recipe", "none", "leave one")
    return student


def _skeleton(trial: Trial, steps: int | None = None) -> Student:
    """Of the whole recipe, or of its first steps."""
    context = trial.context(trial.bound, "skeleton")
    return skeleton_of(trial.opened.steps[:steps], trial.configurations[0], context)


def _sheet(trial: Trial) -> OperatorSheet:
    space = trial.opened.plan.space
    codes = space.encode(trial.configurations[0])[None]
    return recipe_sheet(trial.opened.steps, space, codes, trial.context(trial.bound, "sheet"))


def _networks(trial: Trial) -> Iterator[nn.Module]:
    """What the recipe makes, then what it comes to with ever fewer of its last steps."""
    yield _student(trial).module
    for steps in range(len(trial.opened.steps) - 1, 0, -1):
        yield _skeleton(trial, steps).module


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
