"""Small networks of several families whose layers can be quantised, and a task for each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from stillhouse.core.evaluate import (
    Artefact,
    Choice,
    Classification,
    Context,
    Split,
    State,
    Student,
    TaskData,
)
from stillhouse.core.plugin import Catalogue
from stillhouse.plugins.qat.info import QatParams
from stillhouse.plugins.qat.qat import Qat

SHAPES: dict[str, tuple[str, tuple[int, ...], dict[str, Any]]] = {
    "keyword-transformer": (
        "keyword-transformer", (9, 5), {"width": 16, "depth": 2, "heads": 2, "head_dim": 8},
    ),
    "depthwise": ("cnn", (12, 5), {}),
    "residual": ("cnn", (12, 5), {"block": "residual"}),
    "plain-cnn": ("plain-cnn", (1, 28, 28), {"size": 4}),
    "vit": ("vit", (3, 16, 16), {"width": 16, "depth": 2, "heads": 2, "head_dim": 8}),
    "hubert": (
        "hubert", (1000,),
        {"width": 32, "depth": 1, "heads": 2, "head_dim": 8, "channels": 16},
    ),
}  # fmt: skip


def made(name: str) -> tuple[Context, State]:
    """A context, and a state with a student of random weights, biases and running statistics."""
    family, shape, given = SHAPES[name]
    catalogue = Catalogue.discover()
    info = catalogue.model(family)
    built = catalogue.resolve(info)()
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
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            if name.endswith(("bias", "running_mean")):
                tensor.normal_(0, 0.2, generator=generator)
            if name.endswith("running_var"):
                tensor.uniform_(0.5, 2, generator=generator)
    return context, State({}, data, Student(built.name, full, module, updates=5))


@pytest.fixture
def network(untouched_global_generator: None) -> Callable[[str], tuple[Context, State]]:
    torch.set_num_threads(1)
    return made


@pytest.fixture
def applied() -> Callable[..., Any]:
    """What the method makes of a context and a state."""

    def student(made: tuple[Context, State], **given: Any) -> Any:
        context, state = made
        after = Qat().apply(state, Choice(QatParams(**given)), Artefact(), context)
        return after.student

    return student


@pytest.fixture
def columns() -> Callable[..., dict[str, Any]]:
    """Parameters as columns over `count` candidates."""

    def over(count: int, **given: Any) -> dict[str, Any]:
        values = vars(QatParams()) | given
        return {
            name: value
            if isinstance(value, np.ndarray)
            else np.full(count, value, object if isinstance(value, (str, type(None))) else float)
            for name, value in values.items()
        }

    return over
