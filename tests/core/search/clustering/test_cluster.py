"""What all clusterers share: their form, their hint points, what they refuse."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from stillhouse.core.errors import UserError
from stillhouse.core.search.clustering import (
    CENTRES,
    CLUSTERERS,
    Clustering,
    cluster,
    spread,
)

Array = NDArray[np.float64]
ALL = (*CLUSTERERS, "auto")
SEARCHING = ("exact", "fasterpam", "contiguous", "paper")


def whole_numbers(layers: int) -> st.SearchStrategy[Array]:
    """Symmetric matrices of whole numbers, whose sums are exact and often tie."""
    plain = arrays(np.float64, (layers, layers), elements=st.integers(0, 9).map(float))
    return plain.map(lambda found: np.triu(found, 1) + np.triu(found, 1).T)


def medoid_cost(distances: Array, found: Clustering) -> float:
    total = 0.0
    for label in range(len(found.centres)):
        own = [i for i, other in enumerate(found.labels) if other == label]
        total += min(sum(distances[i, m] for i in own) for m in own)
    return total


@given(st.data(), st.sampled_from(ALL), st.sampled_from(CENTRES))
def test_clusters_are_numbered_by_increasing_centres_that_are_members(
    data: st.DataObject, clusterer: str, centre: str
) -> None:
    layers = data.draw(st.integers(2, 9))
    distances, k = data.draw(whole_numbers(layers)), data.draw(st.integers(1, layers))
    found = cluster(distances, k, clusterer, centre, stages=range(layers))
    assert list(found.centres) == sorted(set(found.centres))
    assert [found.labels[layer] for layer in found.centres] == list(range(k))
    assert sorted(set(found.labels)) == list(range(k))
    assert found.cost == medoid_cost(distances, found)
    assert found == cluster(distances, k, clusterer, centre, stages=range(layers))


@given(st.data(), st.sampled_from(("fasterpam", "contiguous", "paper", "uniform", "stage-ends")))
def test_no_clusterer_costs_less_than_exact(data: st.DataObject, clusterer: str) -> None:
    layers = data.draw(st.integers(2, 9))
    distances, k = data.draw(whole_numbers(layers)), data.draw(st.integers(1, layers))
    exact = cluster(distances, k, "exact")
    assert exact.cost <= cluster(distances, k, clusterer, stages=range(layers)).cost


@pytest.mark.parametrize("clusterer", ALL)
def test_as_many_clusters_as_layers_cost_nothing(clusterer: str, points: Array) -> None:
    everyone = tuple(range(14))
    found = cluster(points, 14, clusterer, stages=everyone)
    assert found == Clustering(everyone, everyone, 0.0)


@pytest.mark.parametrize("clusterer", [*SEARCHING, "auto"])
def test_one_cluster_holds_all_layers_around_their_medoid(clusterer: str, points: Array) -> None:
    found = cluster(points, 1, clusterer)
    assert found.centres == (int(points.sum(axis=0).argmin()),)
    assert found.labels == (0,) * 14


@pytest.mark.parametrize("clusterer", ALL)
def test_equal_layers_leave_no_cluster_empty(clusterer: str) -> None:
    found = cluster(np.zeros((6, 6)), 3, clusterer, stages=(0, 0, 1, 1, 2, 2))
    assert sorted(set(found.labels)) == [0, 1, 2]


def test_the_centre_rules_take_the_medoid_the_middle_and_the_last_member() -> None:
    places = np.array([0.0, 0.1, 0.2, 0.3, 5.0, 9.0, 9.1, 9.2])
    distances = np.abs(places[:, None] - places)
    found = {centre: cluster(distances, 2, "exact", centre) for centre in CENTRES}
    assert found["medoid"].labels == (0, 0, 0, 0, 1, 1, 1, 1)
    assert found["medoid"].centres == (1, 5)
    assert found["middle"].centres == (1, 5)
    assert found["last"].centres == (3, 7)
    assert len({one.cost for one in found.values()}) == 1


def test_the_middle_of_scattered_members_is_the_one_nearest_to_their_mean_number() -> None:
    places = np.array([0.0, 0.1, 0.2, 5.0, 5.1, 5.2, 5.3, 0.3])
    distances = np.abs(places[:, None] - places)
    found = cluster(distances, 2, "exact", "middle")
    assert found.labels == (0, 0, 0, 1, 1, 1, 1, 0)
    assert found.centres == (2, 4)


def test_interleaved_clusters_are_numbered_by_whichever_centre_is_first() -> None:
    places = np.array([0.0, 9.0, 9.1, 0.1])
    distances = np.abs(places[:, None] - places)
    assert cluster(distances, 2, "exact", "medoid").labels == (0, 1, 1, 0)
    last = cluster(distances, 2, "exact", "last")
    assert (last.centres, last.labels) == ((2, 3), (1, 0, 0, 1))


def test_uniform_and_stage_ends_keep_their_hint_points_under_every_centre_rule(
    points: Array,
) -> None:
    stages = (0,) * 6 + (1,) * 5 + (2,) * 3
    for centre in CENTRES:
        uniform = cluster(points, 3, "uniform", centre)
        assert uniform.centres == spread(14, 3) == (3, 8, 13)
        assert uniform.labels == (0,) * 4 + (1,) * 5 + (2,) * 5
        ends = cluster(points, 3, "stage-ends", centre, stages)
        assert (ends.centres, ends.labels) == ((5, 10, 13), stages)


def test_fewer_stage_ends_than_stages_are_the_last_ones(points: Array) -> None:
    found = cluster(points, 2, "stage-ends", stages=(0,) * 6 + (1,) * 5 + (2,) * 3)
    assert (found.centres, found.labels) == ((10, 13), (0,) * 11 + (1,) * 3)


def test_rounding_of_a_similarity_does_not_refuse_or_change_its_clusters(points: Array) -> None:
    noise = np.random.default_rng(0).normal(scale=1e-15, size=points.shape)
    assert cluster(points + noise, 3).centres == cluster(points, 3).centres


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: d[:3], "square matrix, got shape (3, 14)"),
        (lambda d: d[0], "square matrix, got shape (14,)"),
        (lambda d: np.where(d == d[2, 5], np.nan, d), "finite matrix, got nan for layers 2 and 5"),
        (lambda d: d + np.triu(np.ones_like(d), 1), "symmetric matrix, got"),
        (lambda d: 1 - d + np.eye(14), "zero diagonal, got 2 for layer 0"),
        (lambda d: -d, "without negatives, got"),
    ],
)
def test_what_is_no_matrix_of_distances_is_refused(
    change: object, said: str, points: Array
) -> None:
    with pytest.raises(UserError, match="give 1 - similarity") as refused:
        cluster(change(points), 3)  # type: ignore[operator]
    assert said in str(refused.value)


@pytest.mark.parametrize("clusterer", ALL)
@pytest.mark.parametrize(
    ("k", "said"), [(0, "k of at least 1, got 0"), (15, "for k = 15, got fewer taps than k: 14")]
)
def test_a_number_of_clusters_that_layers_cannot_have_is_refused(
    clusterer: str, k: int, said: str, points: Array
) -> None:
    with pytest.raises(UserError, match=said):
        cluster(points, k, clusterer)


def test_unknown_names_are_refused_with_the_nearest(points: Array) -> None:
    with pytest.raises(UserError, match=r"a clusterer of exact, .*did you mean 'fasterpam'"):
        cluster(points, 3, "fastpam")
    with pytest.raises(UserError, match="a centre of medoid, middle, last, got 'mid'"):
        cluster(points, 3, "exact", "mid")


def test_importing_the_package_imports_neither_torch_nor_kmedoids() -> None:
    probe = (
        "import sys, stillhouse.core.search.clustering; "
        "sys.exit(str([name for name in ('torch', 'kmedoids') if name in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True)
    assert done.stderr.strip() == "[]"
