"""A keyword transformer of two layers with its teacher, space and data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import torch

from stillhouse.core.evaluate import (
    Classification,
    Context,
    ModuleTeacher,
    Split,
    State,
    Student,
    TaskData,
)
from stillhouse.core.space import Choice, Space
from stillhouse.plugins.models.info import KeywordTransformerParams
from stillhouse.plugins.models.keyword_transformer import KeywordTransformerFamily


@dataclass(frozen=True)
class Bench:
    """What a method is handed."""

    context: Context
    state: State

    def student(self, seed: int = 1) -> Student:
        full = self.context.full
        module = self.context.family.build(full, torch.Generator().manual_seed(seed))
        return Student(self.context.family.name, full, module.eval(), updates=5)


@pytest.fixture
def bench(untouched_global_generator: None) -> Bench:
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)

    def split(name: Any, samples: int) -> Split:
        targets = torch.arange(samples) % 3
        inputs = torch.randn(samples, 8, 5, generator=generator) + targets[:, None, None]
        return Split(name, inputs, targets)

    data = TaskData(
        split("train", 24), split("tuning", 3), split("validation", 6), split("test", 3), "tiny"
    )
    task = Classification("tiny", data, ("a", "b", "c"), noise=0.1)
    family = KeywordTransformerFamily()
    shape = KeywordTransformerParams(width=16, depth=2, heads=2, head_dim=8)
    full = family.structure(shape, (8, 5), 3)
    taps = family.taps(full)
    teacher = ModuleTeacher(family.build(full, generator), tuple(taps), taps)
    space = Space(
        [
            Choice("width", (8, 12, 16)),
            Choice("depth", (1, 2)),
            Choice("heads", (1, 2), per="depth"),
            Choice("ffn_ratio", (1.0, 2.0), per="depth"),
        ]
    )
    context = Context(task, family, full, spaces={"supernet": space})
    return Bench(context, State({"teacher": teacher}, data))


@pytest.fixture
def untouched_global_generator() -> Iterator[None]:
    """No method may move torch's global generator."""
    before = torch.get_rng_state()
    yield
    assert torch.equal(before, torch.get_rng_state())
