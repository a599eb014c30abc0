"""Small full networks of every size of the ladder, over frames, grey images and coloured ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from stillhouse.plugins.models.info import PlainCnnParams
from stillhouse.plugins.models.plain_cnn.family import PlainCnnFamily

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
def network(unlike_fresh: Callable[[nn.Module], nn.Module]) -> Callable[[Any], nn.Module]:
    """A network of a structure with every weight and statistic random, norms too."""
    return lambda structure: unlike_fresh(FAMILY.build(structure, torch.Generator()))
