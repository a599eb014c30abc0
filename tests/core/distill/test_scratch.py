from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from stillhouse.core.distill.scratch import train_from_scratch
from stillhouse.core.distill.settings import TrainSettings
from stillhouse.core.evaluate import Context, Student
from stillhouse.core.evaluate.state import Structure


def untrained(context: Context, structure: Structure) -> Student:
    module = context.family.build(structure, torch.Generator().manual_seed(0))
    return Student(context.family.name, structure, module)


def test_a_network_from_scratch_gets_exactly_the_updates_asked_for(bench: Any) -> None:
    structure = {**bench.context.full, "width": 8}
    fresh = untrained(bench.context, structure)
    settings = TrainSettings(
        epochs=1, batch_size=16, patience=1, inplace="replace", freeze_unsampled=True
    )
    student = train_from_scratch(fresh, 11, bench.state, bench.context, settings)
    assert student.updates == 11
    assert student.structure == structure
    assert student.module.first.weight.shape == (8, 6)
    assert not student.module.training


def test_a_network_from_scratch_depends_on_the_seed_alone(bench: Any) -> None:
    settings = TrainSettings(epochs=1, batch_size=16)

    def made(seed: int) -> torch.Tensor:
        context = replace(bench.context, root_seed=seed)
        fresh = untrained(context, context.full)
        student = train_from_scratch(fresh, 4, bench.state, context, settings)
        return student.module.head.weight

    assert torch.equal(made(0), made(0))
    assert not torch.equal(made(0), made(1))
