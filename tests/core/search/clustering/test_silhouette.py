"""Silhouettes against their definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from stillhouse.core.errors import UserError
from stillhouse.core.search.clustering import cluster, k_by_silhouette, silhouette

Array = NDArray[np.float64]


def by_definition(distances: Array, labels: list[int]) -> float:
    """Rousseeuw 1987, layer by layer."""
    widths = []
    for layer, label in enumerate(labels):
        mates = [i for i, other in enumerate(labels) if other == label and i != layer]
        means = [
            np.mean([distances[layer, i] for i, other in enumerate(labels) if other == rival])
            for rival in set(labels) - {label}
        ]
        own = np.mean([distances[layer, i] for i in mates]) if mates else 0.0
        larger = max(own, *means)
        widths.append((min(means) - own) / max(own, min(means)) if mates and larger else 0.0)
    return float(np.mean(widths))


@given(st.integers(0, 10_000), st.integers(2, 6))
def test_silhouettes_are_as_defined(seed: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    upper = np.triu(rng.random((11, 11)), 1)
    labels = [*range(k), *rng.integers(0, k, size=11 - k).tolist()]
    found = silhouette(upper + upper.T, labels)
    assert found == pytest.approx(by_definition(upper + upper.T, labels), abs=1e-12)


def test_layers_alone_and_layers_all_alike_count_nothing() -> None:
    assert silhouette(1.0 - np.eye(4), (0, 1, 2, 3)) == 0.0
    assert silhouette(np.zeros((4, 4)), (0, 0, 1, 1)) == 0.0


def test_the_best_k_is_the_number_of_groups() -> None:
    rng = np.random.default_rng(2)
    places = np.repeat([0.0, 10.0, 20.0, 30.0], 3) + rng.normal(scale=0.5, size=12)
    distances = np.abs(places[:, None] - places)
    assert k_by_silhouette(distances, 2, 8) == 4
    assert k_by_silhouette(distances, 2, 3) == 3
    assert k_by_silhouette(distances, 2, 8, "contiguous", "last") == 4


def test_the_smallest_k_wins_a_tie() -> None:
    assert k_by_silhouette(np.zeros((6, 6)), 2, 6) == 2


def test_the_best_k_has_the_greatest_silhouette(points: Array) -> None:
    best = k_by_silhouette(points, 2, 9)
    values = {k: silhouette(points, cluster(points, k).labels) for k in range(2, 10)}
    assert values[best] == max(values.values())


def test_one_cluster_and_labels_of_other_layers_are_refused(points: Array) -> None:
    with pytest.raises(UserError, match="at least two clusters, got one"):
        silhouette(points, (0,) * 14)
    with pytest.raises(UserError, match="expected 14 labels, got 3"):
        silhouette(points, (0, 1, 1))
    with pytest.raises(UserError, match=r"at least 2 .* got 1 to 4"):
        k_by_silhouette(points, 1, 4)
    with pytest.raises(UserError, match="fewer taps than k: 14"):
        k_by_silhouette(points, 13, 15)
