"""The honest controls: what the found model is worth beside networks that need no search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import torch

from stillhouse.core.distill.scratch import train_from_scratch
from stillhouse.core.errors import UserError
from stillhouse.core.evaluate import Policy, Rebuild, State, Student
from stillhouse.core.evaluate.artefacts import fingerprint
from stillhouse.core.evaluate.evaluator import BoundStep, Evaluator
from stillhouse.core.evaluate.skeletons import description, skeleton
from stillhouse.core.plugin.capabilities import FLOAT_WEIGHTS
from stillhouse.core.run.finalists import Finalist, in_full, recipe_facts, restored
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
    shape; *scaled down* is the teacher made uniformly narrower until it has no more parameters.
    What the recipe does to a network once its training is over is done to both. Before them stand
    the variants that methods compare (`Method.compared`), with which *from scratch* goes.

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
    trained, last = _parted(evaluator.steps)
    of_training = {bound.step.name for bound in trained}
    shape = description(found.student)
    shape["rebuilds"] = [one for one in shape["rebuilds"] if one["method"] in of_training]
    ending = _Ending(opened, evaluator, last, found.entry.configuration)
    alone = _trained(opened, "scratch", "from scratch", shape, state, updates, ending)
    if not opened.plan.run.baselines:
        return (*variants, alone)
    smaller = opened.family.scaled(opened.full, int(found.entry.costs["parameters"]))
    scaled = {"family": opened.family.name, "structure": smaller, "rebuilds": []}
    narrow = _trained(opened, "scaled", "scaled down", scaled, state, updates, ending)
    return (*variants, alone, narrow)


def _parted(
    steps: Sequence[BoundStep],
) -> tuple[Sequence[BoundStep], Sequence[BoundStep]]:
    """The steps while training may change the student, and those from the one that ends that."""
    ends = [place for place, bound in enumerate(steps) if FLOAT_WEIGHTS in bound.step.info.spends]
    first = min(ends, default=len(steps))
    return steps[:first], steps[first:]


@dataclass(frozen=True, eq=False)
class _Ending:
    """The steps after which nothing trains, to repeat on a network that was trained otherwise."""

    opened: Opened
    evaluator: Evaluator
    steps: Sequence[BoundStep]
    configuration: Mapping[str, Any]

    @property
    def facts(self) -> list[Any]:
        """What it depends on beside the network."""
        if not self.steps:
            return []
        return [recipe_facts(self.opened), self.configuration]

    def of(self, trained: Student, state: State, origin: str) -> Student:
        if not self.steps:
            return trained
        given = replace(state, student=trained, policy=Policy())
        whole = self.evaluator
        last = Evaluator(self.steps, given, whole.context, whole.store, origin)
        student = last.realise(self.configuration, 1.0).student
        assert student is not None  # noqa: S101 - no method takes a student away
        return student


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
    opened: Opened,
    role: str,
    label: str,
    shape: Mapping[str, Any],
    state: State,
    updates: int,
    ending: _Ending,
) -> Control:
    settings = training_settings(opened)
    terms = [(term.name, term.weight) for term in state.terms]
    key = fingerprint(opened.origin, role, shape, updates, terms, *ending.facts)
    folder = opened.directory.checkpoints / f"{role}-{key}"
    context = replace(opened.context, checkpoints=folder)

    def make() -> Student:
        seed = context.seed(role, "weights")
        module = skeleton(shape, torch.Generator().manual_seed(seed), opened.catalogue)
        changes = tuple(Rebuild(**change) for change in shape["rebuilds"])
        fresh = Student(shape["family"], shape["structure"], module, rebuilds=changes)
        trained = train_from_scratch(fresh, updates, state, context, settings, role)
        return ending.of(replace(trained, module=trained.module.eval()), state, key)

    return Control(role, label, restored(opened, "control", key, make, folder))
