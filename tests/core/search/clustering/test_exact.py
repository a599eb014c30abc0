"""Exact k-medoids against brute force."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from numpy.typing import NDArray

from stillhouse.core.errors import UserError
from stillhouse.core.search.clustering import cluster
from stillhouse.core.search.clustering import exact as module

Array = NDArray[np.float64]


def by_brute_force(distances: Array, k: int) -> tuple[tuple[int, ...], float]:
    """The first set of medoids of least cost, and the cost."""
    costs = {
        medoids: sum(min(row[m] for m in medoids) for row in distances.tolist())
        for medoids in combinations(range(len(distances)), k)
    }
    best = min(costs, key=lambda medoids: costs[medoids])
    return best, costs[best]


@pytest.mark.parametrize("k", [1, 2, 3, 5])
def test_medoids_are_those_of_brute_force(k: int) -> None:
    rng = np.random.default_rng(k)
    for _ in range(20):
        upper = np.triu(rng.integers(0, 1000, size=(10, 10)), 1).astype(float)
        found = cluster(upper + upper.T, k, "exact")
        assert (found.centres, found.cost) == by_brute_force(upper + upper.T, k)


def test_ties_go_to_the_lexicographically_smallest_medoids_in_any_unit() -> None:
    flat = 1.0 - np.eye(9)
    for unit in (1.0, 0.1, 1 / 3):
        assert cluster(unit * flat, 3, "exact").centres == (0, 1, 2)
    pairs = 3.0 - np.kron(np.eye(3), np.ones((2, 2))) * 2 - np.eye(6)
    assert cluster(0.1 * pairs, 3, "exact").centres == (0, 2, 4)


def test_the_answer_does_not_depend_on_how_many_sets_are_tried_at_once(
    points: Array, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = cluster(points, 4)
    for cells in (1, 14 * 7, 14 * 250):
        monkeypatch.setattr(module, "_CELLS", cells)
        assert cluster(points, 4) == whole


def test_permuted_layers_have_the_permuted_answer(points: Array) -> None:
    found = cluster(points, 4, "exact")
    order = np.random.default_rng(1).permutation(14)
    moved = cluster(points[np.ix_(order, order)], 4, "exact")
    assert {int(order[layer]) for layer in moved.centres} == set(found.centres)
    together = np.equal.outer(found.labels, found.labels)
    assert (np.equal.outer(moved.labels, moved.labels) == together[np.ix_(order, order)]).all()


def test_more_sets_than_a_million_are_refused_and_left_to_fasterpam_by_auto() -> None:
    places = np.random.default_rng(0).normal(size=(54, 2))
    distances = np.linalg.norm(places[:, None] - places[None], axis=2)
    with pytest.raises(UserError, match=r"got 3,162,510 for 5 of 54 layers; use fasterpam or"):
        cluster(distances, 5, "exact")
    assert cluster(distances, 5, "auto") == cluster(distances, 5, "fasterpam")
    assert cluster(distances, 2, "auto") == cluster(distances, 2, "exact")
