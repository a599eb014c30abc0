"""Small networks of several families whose layers can be quantised, and a task for each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from stillhouse.core.evaluate import Artefact, Choice, Context, State
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


@pytest.fixture
def network(networks: Callable[..., Any]) -> Callable[[str], tuple[Context, State]]:
    """As elsewhere, with random biases and running statistics too."""

    def made(name: str) -> tuple[Context, State]:
        context, state = networks(SHAPES)(name)
        generator = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for key, tensor in state.student.module.state_dict().items():
                if key.endswith(("bias", "running_mean")):
                    tensor.normal_(0, 0.2, generator=generator)
                if key.endswith("running_var"):
                    tensor.uniform_(0.5, 2, generator=generator)
        return context, state

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
def columns(columns_of: Callable[..., Any]) -> Callable[..., dict[str, Any]]:
    """Parameters as columns over `count` candidates."""
    over: Callable[..., dict[str, Any]] = columns_of(QatParams)
    return over
