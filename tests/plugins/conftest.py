"""What methods are handed: a keyword transformer with its teacher, small networks of families."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
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
from stillhouse.core.plugin import Catalogue, Params
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


Shapes = Mapping[str, tuple[str, tuple[int, ...], dict[str, Any]]]
"""By a name for tests: family, input shape, parameters."""
Made = tuple[Context, State]
SHAPES: Shapes = {
    "keyword-transformer": (
        "keyword-transformer", (9, 5), {"width": 16, "depth": 2, "heads": 2, "head_dim": 8},
    ),
    "depthwise": ("cnn", (12, 5), {}),
    "residual": ("cnn", (12, 5), {"block": "residual"}),
    "resnet": ("resnet", (3, 12, 12), {"size": 8, "width": 8}),
    "plain-cnn": ("plain-cnn", (1, 28, 28), {"size": 4}),
    "vit": ("vit", (3, 16, 16), {}),
    "hubert": (
        "hubert", (1000,), {"width": 32, "depth": 2, "heads": 2, "head_dim": 8},
    ),
}  # fmt: skip


def made(name: str, shapes: Shapes) -> Made:
    """A context, and a state with a student of random weights and data of three classes."""
    family, shape, given = shapes[name]
    catalogue = Catalogue.discover()
    info = catalogue.model(family)
    built = catalogue.resolve(info)()  # type: ignore[operator]
    full = built.structure(info.params(**given), shape, 3)
    generator = torch.Generator().manual_seed(0)

    def split(part: Any, samples: int) -> Split:
        targets = torch.arange(samples) % 3
        shift = targets.reshape(-1, *(1 for _ in shape))
        return Split(part, torch.randn(samples, *shape, generator=generator) + shift, targets)

    data = TaskData(
        split("train", 24), split("tuning", 3), split("validation", 6), split("test", 3), "tiny"
    )
    context = Context(Classification("tiny", data, ("a", "b", "c")), built, full)
    module = built.build(full, generator).eval()
    return context, State({}, data, Student(built.name, full, module, updates=5))


@pytest.fixture
def networks(untouched_global_generator: None) -> Callable[[Shapes], Callable[[str], Made]]:
    """From shapes of a folder's own to what makes a network of one of them."""
    torch.set_num_threads(1)
    return lambda shapes: lambda name: made(name, shapes)


@pytest.fixture
def network(networks: Callable[[Shapes], Callable[[str], Made]]) -> Callable[[str], Made]:
    return networks(SHAPES)


@pytest.fixture
def columns_of() -> Callable[[type[Params]], Callable[..., dict[str, Any]]]:
    """A method's parameters as columns over so many candidates, those given in place of others."""

    def of(params: type[Params]) -> Callable[..., dict[str, Any]]:
        def over(count: int, **given: Any) -> dict[str, Any]:
            values = vars(params()) | given
            return {name: _column(value, count) for name, value in values.items()}

        return over

    return of


def _column(value: Any, count: int) -> Any:
    if isinstance(value, np.ndarray):
        return value
    return np.full(count, value, object if isinstance(value, (str, bool, type(None))) else float)
