"""The honest controls: what the found model is worth beside networks that need no search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import torch

from stillhouse.core.distill.scratch import train_from_scratch
from stillhouse.core.errors import UserError
from stillhouse.core.evaluate import Rebuild, State, Student
from stillhouse.core.evaluate.artefacts import fingerprint
from stillhouse.core.evaluate.evaluator import BoundStep, Evaluator
from stillhouse.core.evaluate.skeletons import description, skeleton
from stillhouse.core.run.finalists import Finalist, in_full, restored
from stillhouse.core.run.opened import Opened
from stillhouse.core.run.teaching import training_settings

LABELS: Final[Mapping[str, str]] = {"inherited": "as inherited", "tuned": "fine-tuned"}
"""What the closing table calls the roles of variants."""


@dataclass(frozen=True, eq=False)
class Control:
    """A network to compare with; `role` as in `ModelRow`."""

    role: str
    label: str
    student: Student


def control_networks(opened: Opened, evaluator: Evaluator, found: Finalist) -> Sequence[Control]:
    """Train the controls, each for exactly as many updates as the found model's weights had.

    They learn from the same teacher, data and loss terms. *From scratch* has the found model's
    shape; *scaled down* is the teacher made uniformly narrower until it is no larger. Before them
    stand the variants that methods compare (`Method.compared`), with which *from scratch* goes.

    Raises UserError where that number is 0: networks that nothing trained are no comparison.
    """
    variants = _variants(opened, evaluator, found)
    if not opened.plan.run.baselines and not variants:
        return ()
    updates = found.student.updates
    if not updates:
        raise UserError(
            "expected a found model of which it is known how long it was trained, to train the "
            "controls as long, got 0 updates; set baselines: false"
        )
    cheapest = opened.plan.run.search.rungs[0]
    state = evaluator.realise(found.entry.configuration, cheapest)
    shape = description(found.student)
    alone = _trained(opened, "scratch", "from scratch", shape, state, updates)
    if not opened.plan.run.baselines:
        return (*variants, alone)
    smaller = opened.family.scaled(opened.full, int(found.entry.costs["parameters"]))
    scaled = {"family": opened.family.name, "structure": smaller, "rebuilds": []}
    return (*variants, alone, _trained(opened, "scaled", "scaled down", scaled, state, updates))


def _variants(opened: Opened, evaluator: Evaluator, found: Finalist) -> list[Control]:
    """The found configuration at full fidelity with each change that a method compares."""
    controls = []
    for place, bound in enumerate(evaluator.steps):
        params = bound.choice(found.entry.configuration).params
        for role, changes in bound.method.compared(params).items():
            steps = [*evaluator.steps]
            steps[place] = _changed(bound, changes)
            varied = Evaluator(
                steps, evaluator.initial, evaluator.context, evaluator.store, evaluator.origin
            )
            own = {f"{bound.step.name}.{name}" for name in changes}
            kept = {k: v for k, v in found.entry.configuration.items() if k not in own}
            student = in_full(opened, varied, kept, f"{bound.step.name}-{role}")
            controls.append(Control(role, LABELS.get(role, role), student))
    return controls


def _changed(bound: BoundStep, changes: Mapping[str, Any]) -> BoundStep:
    fixed = {**bound.step.fixed, **changes}
    searched = {k: v for k, v in bound.step.searched.items() if k not in changes}
    return replace(bound, step=replace(bound.step, fixed=fixed, searched=searched))


def _trained(
    opened: Opened, role: str, label: str, shape: Mapping[str, Any], state: State, updates: int
) -> Control:
    settings = training_settings(opened)
    terms = [(term.name, term.weight) for term in state.terms]
    key = fingerprint(opened.origin, role, shape, updates, terms)
    folder = opened.directory.checkpoints / f"{role}-{key}"
    context = replace(opened.context, checkpoints=folder)

    def make() -> Student:
        seed = context.seed(role, "weights")
        module = skeleton(shape, torch.Generator().manual_seed(seed), opened.catalogue)
        changes = tuple(Rebuild(**change) for change in shape["rebuilds"])
        fresh = Student(shape["family"], shape["structure"], module, rebuilds=changes)
        return train_from_scratch(fresh, updates, state, context, settings, role)

    return Control(role, label, restored(opened, "control", key, make, folder))
