"""Random distances between layers."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

Array = NDArray[np.float64]


@pytest.fixture
def points() -> Array:
    """Distances of 14 points in three dimensions, without ties."""
    places = np.random.default_rng(6).normal(size=(14, 3))
    distances: Array = np.linalg.norm(places[:, None] - places[None], axis=2)
    return distances
