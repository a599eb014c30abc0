"""What is known of a method's networks before training, against what it makes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from stillhouse.core.cost import terms
from stillhouse.core.cost.counting import joined
from stillhouse.core.cost.sheet import chosen
from stillhouse.core.cost.tracing import traced
from stillhouse.core.evaluate import Method, Student
from stillhouse.core.evaluate.evaluator import recipe_sheet, skeleton_of
from stillhouse.core.evaluate.skeletons import description
from stillhouse.core.plugin.conformance.check import UnmetError, unmet
from stillhouse.core.plugin.conformance.snapshots import unmoved
from stillhouse.core.plugin.conformance.trial import Trial

_SAY = "let skeleton make the shape and form that apply makes, with any weights"


def check_skeleton(trial: Trial) -> None:
    """Descriptions, names, shapes and types of the skeleton are those of the network made."""
    made = trial.first.returned.student
    if made is None:
        return
    with unmoved("skeleton"):
        planned = _skeletons(trial)[0]
    ours, theirs = description(planned), description(made)
    for key in ours:
        if ours[key] != theirs[key]:
            unmet(f"the {key} of the skeleton as that of apply, {theirs[key]}", ours[key], _SAY)
    shapes, wanted = _shapes(planned.module), _shapes(made.module)
    for name in {**wanted, **shapes}:
        if shapes.get(name) != wanted.get(name):
            unmet(f"{name} as apply makes it, {wanted.get(name)}", shapes.get(name), _SAY)


def check_sheet(trial: Trial) -> None:
    """Parameters and MACs of the sheet are those counted from the skeletons.

    MACs are not compared where a method sets what a network alone does not show. A network that
    cannot be counted is not compared.
    """
    if not _written(trial):
        return
    space = trial.opened.plan.space
    codes = np.stack([space.encode(found) for found in trial.configurations])
    context = trial.context(trial.bound, "sheet")
    with unmoved("sheet"):
        sheet = recipe_sheet(trial.opened.steps[: trial.place + 1], space, codes, context)
    try:
        example = trial.opened.task.example(1)
        counted = joined([traced(one.module, example) for one in _skeletons(trial)])
    except ValueError:
        return
    for name in ("parameters",) if chosen(sheet) else ("parameters", "macs"):
        ours, theirs = (terms.totals(one, (name,))[name].tolist() for one in (sheet, counted))
        if ours != theirs:
            unmet(
                f"{name} of the sheet as counted from the networks, {theirs}", ours,
                "correct sheet, or leave it out: then costs are counted, exactly",
            )  # fmt: skip


def _written(trial: Trial) -> bool:
    return type(trial.bound.method).sheet is not Method.sheet


def _skeletons(trial: Trial) -> Sequence[Student]:
    return list(_each(trial, trial.configurations))


def _each(trial: Trial, configurations: Sequence[Mapping[str, Any]]) -> Iterator[Student]:
    steps, context = trial.opened.steps[: trial.place + 1], trial.context(trial.bound, "skeleton")
    for configuration in configurations:
        try:
            yield skeleton_of(steps, configuration, context)
        except Exception as error:
            if trial.first.returned.student is None:
                return
            raise UnmetError(
                f"expected a skeleton, got {type(error).__name__}: {error}; {_SAY}"
            ) from error


def _shapes(module: nn.Module) -> dict[str, tuple[tuple[int, ...], torch.dtype]]:
    return {name: (tuple(t.shape), t.dtype) for name, t in module.state_dict().items()}
