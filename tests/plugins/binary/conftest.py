"""Small networks of every family whose layers can be binary, and a task for each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from stillhouse.core.evaluate import Classification, Context, Split, State, Student, TaskData
from stillhouse.core.plugin import Catalogue
from stillhouse.plugins.binary.geometry import Geometry
from stillhouse.plugins.binary.info import BinaryParams
from stillhouse.plugins.binary.layer import BinaryLayer

SHAPES: dict[str, tuple[str, tuple[int, ...], dict[str, Any]]] = {
    "keyword-transformer": (
        "keyword-transformer", (9, 5), {"width": 16, "depth": 2, "heads": 2, "head_dim": 8},
    ),
    "wide": (
        "keyword-transformer", (9, 5), {"width": 64, "depth": 1, "heads": 2, "head_dim": 32},
    ),
    "depthwise": ("cnn", (12, 5), {}),
    "residual": ("cnn", (12, 5), {"block": "residual"}),
    "resnet": ("resnet", (3, 12, 12), {"size": 8, "width": 8}),
    "plain-cnn": ("plain-cnn", (1, 28, 28), {"size": 4}),
    "hubert": ("hubert", (400,), {
        "width": 16, "depth": 2, "heads": 2, "head_dim": 8, "channels": 8, "kernels": [10, 3, 3],
        "strides": [5, 2, 2], "position_kernel": 3, "position_groups": 2,
    }),
}  # fmt: skip


def made(name: str) -> tuple[Context, State]:
    """A context, and a state with a student of random weights."""
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
    return context, State({}, data, Student(built.name, full, module, updates=5))


@pytest.fixture
def network(untouched_global_generator: None) -> Callable[[str], tuple[Context, State]]:
    torch.set_num_threads(1)
    return made


@pytest.fixture
def layer() -> Callable[..., BinaryLayer]:
    """A binary layer of random weights, in eval mode."""

    def build(geometry: Geometry, scaled: bool = True, bias: bool = True) -> BinaryLayer:
        generator = torch.Generator().manual_seed(3)

        def drawn(*shape: int) -> torch.Tensor:
            return torch.randn(*shape, generator=generator)

        latent = drawn(geometry.outputs * geometry.entries)
        offset = drawn(geometry.outputs) if bias else None
        threshold = drawn(geometry.inputs) / 3
        return BinaryLayer(geometry, latent, threshold, offset, 1.25, scaled).eval()

    return build


@pytest.fixture
def columns() -> Callable[..., dict[str, Any]]:
    """Parameters as columns over `count` candidates."""

    def over(count: int, **given: Any) -> dict[str, Any]:
        values = vars(BinaryParams()) | given
        return {
            name: value
            if isinstance(value, np.ndarray)
            else np.full(count, value, object if isinstance(value, (str, bool)) else float)
            for name, value in values.items()
        }

    return over
