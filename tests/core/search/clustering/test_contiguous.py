"""Runs of neighbouring layers against all partitions into runs."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from numpy.typing import NDArray

from stillhouse.core.search.clustering import cluster

Array = NDArray[np.float64]


def least_cost(distances: Array, k: int) -> float:
    """Of all partitions into k runs, each around the best of its members."""
    layers = len(distances)
    return min(
        sum(
            float(distances[start:end, start:end].sum(axis=0).min())
            for start, end in zip((0, *cuts), (*cuts, layers), strict=True)
        )
        for cuts in combinations(range(1, layers), k - 1)
    )


@pytest.mark.parametrize("k", [1, 2, 3, 4, 8, 9])
def test_runs_cost_as_little_as_any_partition_into_runs(k: int) -> None:
    rng = np.random.default_rng(k)
    for _ in range(20):
        upper = np.triu(rng.integers(0, 1000, size=(9, 9)), 1).astype(float)
        found = cluster(upper + upper.T, k, "contiguous")
        assert found.cost == least_cost(upper + upper.T, k)
        assert list(found.labels) == sorted(found.labels)


def test_layers_that_return_to_an_earlier_form_stay_in_runs() -> None:
    places = np.array([0.0, 0.1, 9.0, 9.1, 0.2, 0.3])
    distances = np.abs(places[:, None] - places)
    assert cluster(distances, 2, "exact").labels == (0, 0, 1, 1, 0, 0)
    assert cluster(distances, 3, "contiguous").labels == (0, 0, 1, 1, 2, 2)
