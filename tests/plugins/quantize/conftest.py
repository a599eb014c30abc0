"""Small networks of every family whose layers can be quantised, and a target that deploys them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from stillhouse.core.evaluate import Classification, Context, Split, State, Student, TaskData
from stillhouse.core.plugin import Catalogue
from stillhouse.plugins.quantize.info import Int8Params
from stillhouse.plugins.targets.info import OnnxRuntimeCpuParams
from stillhouse.plugins.targets.onnxruntime_cpu import OnnxRuntimeCpu

SHAPES: dict[str, tuple[str, tuple[int, ...], dict[str, Any]]] = {
    "keyword-transformer": (
        "keyword-transformer", (9, 5), {"width": 16, "depth": 2, "heads": 2, "head_dim": 8},
    ),
    "depthwise": ("cnn", (12, 5), {}),
    "residual": ("cnn", (12, 5), {"block": "residual"}),
    "resnet": ("resnet", (3, 12, 12), {"size": 8, "width": 8}),
    "plain-cnn": ("plain-cnn", (1, 28, 28), {"size": 4}),
    "vit": ("vit", (3, 16, 16), {"depth": 2}),
    "hubert": (
        "hubert", (400,),
        {"width": 16, "depth": 2, "heads": 2, "head_dim": 8, "channels": 8,
         "kernels": [10, 3, 3], "strides": [5, 2, 2], "position_kernel": 3, "position_groups": 2},
    ),
}  # fmt: skip


def target(**given: Any) -> OnnxRuntimeCpu:
    return OnnxRuntimeCpu(OnnxRuntimeCpuParams(patience_s=0, **given))


@functools.cache
def made(name: str) -> tuple[Context, State]:
    """A context, and a state with a student of random weights and statistics."""
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
        split("train", 6), split("tuning", 48), split("validation", 12), split("test", 3), "tiny"
    )
    runtime = target()
    task = Classification("tiny", data, ("a", "b", "c"))
    context = Context(task, built, full, graph=lambda m: runtime.graph(m, task.example(1)))
    module = built.build(full, generator).eval()
    for part in module.modules():
        if isinstance(part, (torch.nn.BatchNorm1d, torch.nn.BatchNorm2d)):
            part.running_var.uniform_(0.5, 2, generator=generator)
            part.running_mean.normal_(generator=generator)
    return context, State({}, data, Student(built.name, full, module, updates=5))


@pytest.fixture
def network(untouched_global_generator: None) -> Callable[[str], tuple[Context, State]]:
    torch.set_num_threads(1)
    return made


@pytest.fixture
def runtime() -> Callable[..., OnnxRuntimeCpu]:
    return target


@pytest.fixture
def on_x86() -> Callable[..., Context]:
    """A context whose target runs on an x86 processor with these instruction sets."""

    def of(context: Context, *flags: str) -> Context:
        return replace(context, machine={"machine": "x86_64", "flags": list(flags)})

    return of


@pytest.fixture
def columns() -> Callable[..., dict[str, Any]]:
    """Parameters as columns over `count` candidates."""

    def over(count: int, **given: Any) -> dict[str, Any]:
        values = vars(Int8Params()) | given
        return {
            name: value
            if isinstance(value, np.ndarray)
            else np.full(
                count, value, object if isinstance(value, (str, bool, type(None))) else float
            )
            for name, value in values.items()
        }

    return over
