"""The honest controls: what the found model is worth beside networks that need no search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from stillhouse.core.distill.scratch import train_from_scratch
from stillhouse.core.evaluate import Rebuild, State, Student
from stillhouse.core.evaluate.artefacts import fingerprint
from stillhouse.core.evaluate.evaluator import Evaluator
from stillhouse.core.evaluate.skeletons import description, skeleton
from stillhouse.core.run.finalists import Finalist, restored
from stillhouse.core.run.opened import Opened
from stillhouse.core.run.teaching import training_settings


@dataclass(frozen=True, eq=False)
class Control:
    """A network to compare with; `role` as in `ModelRow`."""

    role: str
    label: str
    student: Student


def control_networks(opened: Opened, evaluator: Evaluator, found: Finalist) -> Sequence[Control]:
    """Train both controls, each for exactly as many updates as the found model's weights had.

    They learn from the same teacher, data and loss terms. *From scratch* has the found model's
    shape; *scaled down* is the teacher made uniformly narrower until it is no larger.
    """
    if not opened.plan.run.baselines:
        return ()
    cheapest = opened.plan.run.search.rungs[0]
    state = evaluator.realise(found.entry.configuration, cheapest)
    smaller = opened.family.scaled(opened.full, int(found.entry.costs["parameters"]))
    scaled = {"family": opened.family.name, "structure": smaller, "rebuilds": []}
    updates = found.student.updates
    return (
        _trained(opened, "scratch", "from scratch", description(found.student), state, updates),
        _trained(opened, "scaled", "scaled down", scaled, state, updates),
    )


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
