"""Small networks of every family that can be pruned, whole and as subnets, and a task for each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from stillhouse.core.distill.statistics import reestimate
from stillhouse.core.evaluate import Classification, Context, Split, State, Student, TaskData
from stillhouse.core.plugin import Catalogue
from stillhouse.plugins.prune.info import PruneParams

_ENCODER: dict[str, Any] = {"width": 16, "depth": 3, "heads": 4, "head_dim": 4}
SHAPES: dict[str, tuple[str, tuple[int, ...], dict[str, Any]]] = {
    "keyword-transformer": ("keyword-transformer", (9, 5), _ENCODER),
    "depthwise": ("cnn", (12, 5), {"depth": 3, "width": 10}),
    "residual": ("cnn", (12, 5), {"depth": 3, "width": 10, "block": "residual"}),
    "resnet": ("resnet", (3, 12, 12), {"size": 20, "width": 4}),
    "plain-cnn": ("plain-cnn", (1, 28, 28), {"size": 4, "width": 8}),
    "plain-cnn-hidden": ("plain-cnn", (1, 28, 28), {"size": 8, "width": 4}),
    "vit": ("vit", (3, 16, 16), {**_ENCODER, "patch": 4}),
    "bert": ("bert", (7,), {**_ENCODER, "vocabulary": 20}),
    "hubert": (
        "hubert", (400,),
        {**_ENCODER, "front_end": "choice", "channels": 8, "kernels": [10, 3, 3],
         "strides": [5, 2, 2], "position_kernel": 3, "position_groups": 2},
    ),
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
        if family == "bert":
            inputs = torch.randint(0, 20, (samples, *shape), generator=generator)
            return Split(part, inputs, targets)
        shift = targets.reshape(-1, *(1 for _ in shape))
        return Split(part, torch.randn(samples, *shape, generator=generator) + shift, targets)

    data = TaskData(
        split("train", 24), split("tuning", 3), split("validation", 6), split("test", 3), "tiny"
    )
    context = Context(Classification("tiny", data, ("a", "b", "c")), built, full)
    whole = built.whole(full, built.elastic(built.build(full, generator)).full)
    module = moved(built.build(whole, generator), generator).eval()
    reestimate(module, data.train, samples=24, batch_size=24, seed=0)
    elastic = built.elastic(module).eval()
    student = Student(built.name, elastic.structure({}), elastic.extract().eval(), updates=5)
    return replace(context, full=full), State({}, data, student)


def moved(module: torch.nn.Module, generator: torch.Generator) -> torch.nn.Module:
    """Norms, biases and statistics away from what fresh networks have.

    Biases are above 0, so that no unit is without effect on every sample.
    """
    for name, tensor in module.state_dict().items():
        if tensor.is_floating_point():
            noise = torch.rand(tensor.shape, generator=generator)
            above = name.endswith(("running_var", "bias"))
            tensor.add_(0.3 * noise if above else 0.3 * (noise - 0.5))
    return module


@pytest.fixture
def network(untouched_global_generator: None) -> Callable[[str], tuple[Context, State]]:
    torch.set_num_threads(1)
    return made


@pytest.fixture
def columns() -> Callable[..., dict[str, Any]]:
    """Parameters as columns over `count` candidates."""

    def over(count: int, **given: Any) -> dict[str, Any]:
        values = vars(PruneParams()) | given
        return {
            name: value
            if isinstance(value, np.ndarray)
            else np.full(count, value, object if isinstance(value, (str, type(None))) else float)
            for name, value in values.items()
        }

    return over
