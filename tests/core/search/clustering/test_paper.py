"""The published clustering by index means."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from stillhouse.core.search.clustering import Clustering, cluster
from stillhouse.core.search.clustering import paper as module
from stillhouse.core.search.clustering.medoids import members

Array = NDArray[np.float64]
Numbers = NDArray[np.intp]


def on_a_line(*places: float) -> Array:
    distances: Array = np.abs(np.array(places)[:, None] - np.array(places))
    return distances


def test_three_clusters_start_at_the_first_the_centre_and_the_last_layer() -> None:
    apart = 1.0 - np.eye(9)
    assert cluster(apart, 3, "paper").labels == (0, 0, 0, 0, 1, 0, 0, 0, 2)


def test_centroids_move_to_the_mean_number_until_they_stay() -> None:
    stages = on_a_line(0, 1, 2, 50, 51, 52, 53, 54, 99, 100)
    assert cluster(stages, 3, "paper", "middle") == Clustering(
        (1, 5, 8), (0, 0, 0, 1, 1, 1, 1, 1, 2, 2), 2.0 + 6.0 + 1.0
    )


@given(st.integers(2, 9), st.integers(0, 10_000))
def test_the_middles_are_a_fixed_point_of_assigning_and_moving(k: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    distances = on_a_line(*np.sort(rng.integers(0, 10_000, size=20)).astype(float))
    found = cluster(distances, k, "paper", "middle")
    for label, centre in enumerate(found.centres):
        own = [layer for layer, other in enumerate(found.labels) if other == label]
        mean = sum(own) // len(own)
        assert abs(centre - mean) == min(abs(layer - mean) for layer in own)
        others = [layer for layer in found.centres if layer != centre]
        assert all(distances[i, centre] <= distances[i, c] for i in own for c in others)


def test_centroids_that_never_settle_stop_after_eighty_moves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    moves = []

    def counted(labels: Numbers) -> Iterator[Numbers]:
        moves.append(labels)
        return members(labels)

    monkeypatch.setattr(module, "members", counted)
    for seed in range(500):
        upper = np.triu(np.random.default_rng(seed).random((9, 9)), 1)
        moves.clear()
        cluster(upper + upper.T, 3, "paper")
        if len(moves) == 80:
            return
    raise AssertionError("expected a matrix on which the published rule goes round in circles")


def test_a_cluster_may_be_scattered_as_the_published_rule_leaves_it() -> None:
    back = on_a_line(0.0, 0.1, 9.0, 9.1, 9.2, 0.2)
    found = cluster(back, 2, "paper")
    assert list(found.labels) != sorted(found.labels)


@pytest.mark.parametrize("k", [1, 2, 5])
def test_few_and_all_clusters_need_no_division_by_k_less_one(k: int) -> None:
    found = cluster(on_a_line(0, 1, 2, 3, 4), k, "paper")
    assert len(found.centres) == k
