"""Small networks of every family that has taps, and a task for each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import torch

from stillhouse.core.evaluate import Classification, Context, Split, State, Student, TaskData
from stillhouse.core.plugin import Catalogue
from stillhouse.plugins.dynamic.info import EarlyExitParams

SHAPES: Mapping[str, tuple[str, tuple[int, ...], Mapping[str, Any]]] = {
    "keyword-transformer": (
        "keyword-transformer", (9, 5), {"width": 16, "depth": 4, "heads": 2, "head_dim": 8},
    ),
    "cnn": ("cnn", (12, 5), {}),
    "residual": ("cnn", (12, 5), {"block": "residual"}),
    "resnet": ("resnet", (3, 12, 12), {"size": 8, "width": 8}),
    "plain-cnn": ("plain-cnn", (1, 28, 28), {"size": 4}),
    "vit": ("vit", (3, 16, 16), {"width": 16, "depth": 3, "heads": 2, "head_dim": 8}),
    "hubert": ("hubert", (1000,), {"width": 32, "depth": 2, "heads": 2, "head_dim": 8,
                                   "channels": 16}),
    "bert": ("bert", (7,), {"width": 16, "depth": 3, "heads": 2, "head_dim": 8,
                            "vocabulary": 20}),
}  # fmt: skip
TOKENS = 20


def made(name: str, samples: int = 24) -> tuple[Context, State]:
    """A context, and a state with a student of random weights; three classes."""
    family, shape, given = SHAPES[name]
    catalogue = Catalogue.discover()
    info = catalogue.model(family)
    built = catalogue.resolve(info)()
    full = built.structure(info.params(**given), shape, 3)
    generator = torch.Generator().manual_seed(0)

    def inputs(targets: torch.Tensor) -> torch.Tensor:
        size = (len(targets), *shape)
        if name == "bert":
            return torch.randint(1, TOKENS, size, generator=generator)
        shift = targets.reshape(-1, *(1 for _ in shape))
        return torch.randn(size, generator=generator) + shift

    def split(part: Any) -> Split:
        targets = torch.arange(samples) % 3
        return Split(part, inputs(targets), targets)

    data = TaskData(split("train"), split("tuning"), split("validation"), split("test"), "tiny")
    context = Context(Classification("tiny", data, ("a", "b", "c")), built, full)
    module = built.build(full, generator).eval()
    return context, State({}, data, Student(built.name, full, module, updates=5))


@pytest.fixture
def network(untouched_global_generator: None) -> Callable[[str], tuple[Context, State]]:
    torch.set_num_threads(1)
    return made


@pytest.fixture
def columns() -> Callable[..., dict[str, Any]]:
    """Parameters as columns over `count` candidates."""

    def over(count: int, **given: Any) -> dict[str, Any]:
        values = vars(EarlyExitParams()) | given
        return {
            name: value
            if isinstance(value, np.ndarray)
            else np.full(count, value, object if isinstance(value, (str, type(None))) else float)
            for name, value in values.items()
        }

    return over
