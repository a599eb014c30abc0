"""Small full networks of every size of the ladder, over frames, grey images and coloured ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from stillhouse.plugins.models.info import PlainCnnParams
from stillhouse.plugins.models.plain_cnn.family import PlainCnnFamily
from stillhouse.plugins.models.plain_cnn.network import PlainCnn

FAMILY = PlainCnnFamily()
SHAPES = {2: (9, 5), 4: (3, 7, 12), 6: (1, 16, 17), 8: (8, 6), 10: (2, 33, 16)}
"""Sizes 8 and 10 run out of positions before they run out of pools, on one side or on both."""


def _full_structure(size: int) -> Any:
    return FAMILY.structure(PlainCnnParams(size=size, width=6), SHAPES[size], 3)


@pytest.fixture(params=SHAPES, ids=lambda size: f"size {size}")
def full(request: pytest.FixtureRequest) -> Any:
    return _full_structure(request.param)


@pytest.fixture(scope="session")
def full_structure() -> Callable[[int], Any]:
    """A full network's structure by size."""
    return _full_structure


@pytest.fixture(scope="session")
def network() -> Callable[[Any], PlainCnn]:
    """A network of a structure with every weight and statistic random, norms too."""

    def build(structure: Any) -> PlainCnn:
        generator = torch.Generator().manual_seed(0)
        module = FAMILY.build(structure, generator)
        for weight in module.parameters():
            nn.init.normal_(weight, std=0.3, generator=generator)
        for name, buffer in module.named_buffers():
            if name.endswith("running_mean"):
                nn.init.normal_(buffer, std=0.3, generator=generator)
            if name.endswith("running_var"):
                nn.init.uniform_(buffer, 0.5, 2.0, generator=generator)
        return module.eval()

    return build


@pytest.fixture(scope="session")
def batch() -> Callable[..., Tensor]:
    """Inputs of a structure, two or as many as asked for."""

    def draw(structure: Mapping[str, Any], samples: int = 2) -> Tensor:
        generator = torch.Generator().manual_seed(1)
        return torch.randn(samples, *structure["input_shape"], generator=generator)

    return draw
