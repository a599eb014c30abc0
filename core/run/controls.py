"""The honest controls: what the found model is worth beside networks that need no search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from stillhouse.core.distill.scratch import train_from_scratch
from stillhouse.core.evaluate import State, Student
from stillhouse.core.evaluate.artefacts import fingerprint
from stillhouse.core.evaluate.evaluator import Evaluator
from stillhouse.core.evaluate.state import Structure
from stillhouse.core.run.finalists import Finalist, restored, structure_facts
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
    structure; *scaled down* is the teacher made uniformly narrower until it is no larger.
    """
    if not opened.plan.run.baselines:
        return ()
    fidelity = opened.plan.run.search.fidelity
    state = evaluator.realise(found.entry.configuration, fidelity)
    parameters = structure_facts(opened, found.student)["parameters"]
    scaled = opened.family.scaled(opened.full, parameters)
    updates = found.student.updates
    return (
        _trained(opened, "scratch", "from scratch", found.student.structure, state, updates),
        _trained(opened, "scaled", "scaled down", scaled, state, updates),
    )


def _trained(
    opened: Opened, role: str, label: str, structure: Structure, state: State, updates: int
) -> Control:
    settings = training_settings(opened)
    terms = [(term.name, term.weight) for term in state.terms]
    key = fingerprint(opened.origin, role, structure, updates, terms)
    folder = opened.directory.checkpoints / f"{role}-{key}"
    context = replace(opened.context, checkpoints=folder)

    def make() -> Student:
        return train_from_scratch(structure, updates, state, context, settings, role)

    return Control(role, label, restored(opened, "control", key, make, folder))
