"""Small networks of every family whose layers can be binary, and a task for each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from stillhouse.core.evaluate import Context, State
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


@pytest.fixture
def network(networks: Callable[..., Any]) -> Callable[[str], tuple[Context, State]]:
    found: Callable[[str], tuple[Context, State]] = networks(SHAPES)
    return found


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
def columns(columns_of: Callable[..., Any]) -> Callable[..., dict[str, Any]]:
    """Parameters as columns over `count` candidates."""
    over: Callable[..., dict[str, Any]] = columns_of(BinaryParams)
    return over
