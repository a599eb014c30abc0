from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.core.search import best_few, best_first, crowding, hypervolume, on_front, ranks

NAN = float("nan")


@st.composite
def value_tables(draw: st.DrawFn) -> tuple[np.ndarray, list[bool]]:
    objectives = draw(st.integers(1, 3))
    cell = st.one_of(st.integers(0, 4).map(float), st.just(NAN))
    rows = draw(st.lists(st.lists(cell, min_size=objectives, max_size=objectives), max_size=12))
    maximize = draw(st.lists(st.booleans(), min_size=objectives, max_size=objectives))
    return np.array(rows).reshape(len(rows), objectives), maximize


def dominates(a: np.ndarray, b: np.ndarray, maximize: list[bool]) -> bool:
    signs = np.where(maximize, -1, 1)
    return bool((a * signs <= b * signs).all() and (a * signs < b * signs).any())


@given(value_tables())
def test_the_front_is_what_no_row_dominates_for_any_mix_of_directions(
    drawn: tuple[np.ndarray, list[bool]],
) -> None:
    values, maximize = drawn
    sound = [row for row in values if not np.isnan(row).any()]
    expected = [
        not np.isnan(row).any() and not any(dominates(other, row, maximize) for other in sound)
        for row in values
    ]
    assert on_front(values, maximize).tolist() == expected


@given(value_tables())
def test_ranks_peel_one_front_after_the_other(drawn: tuple[np.ndarray, list[bool]]) -> None:
    values, maximize = drawn
    rank = ranks(values, maximize)
    failed = np.isnan(values).any(axis=1)
    assert (rank[failed] == len(values)).all()
    left = ~failed
    level = 0
    while left.any():
        peeled = np.zeros(len(values), dtype=bool)
        peeled[left] = on_front(values[left], maximize)
        assert (rank[peeled] == level).all()
        assert (rank[left & ~peeled] > level).all()
        left &= ~peeled
        level += 1


def test_equal_rows_share_the_front() -> None:
    values = np.array([[0.9, 2.0], [0.9, 2.0], [0.8, 3.0]])
    assert on_front(values, [True, False]).tolist() == [True, True, False]


def test_crowding_favours_the_ends_and_the_lonely() -> None:
    values = np.array([[0.0, 10.0], [1.0, 9.0], [2.0, 8.0], [10.0, 0.0], [NAN, 1.0]])
    distance = crowding(values, ranks(values, [False, False]))
    assert np.isinf(distance[[0, 3]]).all()
    assert distance[1] == 0.2 + 0.2
    assert distance[2] == 0.9 + 0.9
    assert distance[4] == 0


def test_the_hypervolume_counts_each_direction_from_the_reference() -> None:
    values = np.array([[0.9, 2.0], [0.5, 1.0], [0.4, 1.5], [NAN, 0.0]])
    volume = hypervolume(values, reference=[0.0, 4.0], maximize=[True, False])
    assert np.isclose(volume, 0.5 * 3 + 0.4 * 2)


def test_nothing_evaluated_has_no_volume_and_no_front() -> None:
    assert hypervolume(np.empty((0, 2)), [0, 0], [True, True]) == 0.0
    assert on_front(np.empty((0, 2)), [True, True]).tolist() == []
    assert hypervolume(np.array([[NAN, 1.0]]), [0, 0], [True, True]) == 0.0


def test_crowding_is_reckoned_within_each_rank() -> None:
    rng = np.random.default_rng(0)
    values = rng.integers(0, 9, size=(60, 2)).astype(float)
    rank = ranks(values, [False, False])
    for level in np.unique(rank):
        alone = values[rank == level]
        inside = crowding(values, rank)[rank == level]
        np.testing.assert_array_equal(inside, crowding(alone, np.zeros(len(alone), np.int64)))


def test_one_objective_is_ordered_by_value_and_failures_come_last() -> None:
    values = np.array([[3.0], [NAN], [1.0], [2.0]])
    assert best_first(values, [False]).tolist() == [2, 3, 0, 1]
    assert best_first(values, [True]).tolist() == [0, 3, 2, 1]


def test_violation_is_never_traded_for_quality() -> None:
    values = np.array([[9.0, 9.0], [0.0, 0.0], [5.0, 5.0], [1.0, NAN], [0.1, 0.1]])
    violation = np.array([0.0, 0.2, -1.0, 0.0, 0.1])
    assert best_first(values, [False, False], violation).tolist() == [2, 0, 4, 1, 3]
    assert best_first(values[:, :1], [False], violation).tolist() == [3, 2, 0, 4, 1]


def test_of_one_rank_the_lonely_come_first() -> None:
    values = np.array([[1.0, 9.0], [0.0, 10.0], [10.0, 0.0], [2.0, 8.0]])
    assert best_first(values, [False, False]).tolist() == [1, 2, 3, 0]


@given(value_tables(), st.integers(0, 14), st.lists(st.sampled_from([0.0, 0.5, 2.0]), max_size=12))
def test_the_best_few_are_the_first_of_all_ranked(
    drawn: tuple[np.ndarray, list[bool]], count: int, over: list[float]
) -> None:
    values, maximize = drawn
    broken = np.resize(np.array([*over, 0.0]), len(values))
    for violation in (None, broken):
        found = best_few(values, maximize, count, violation)
        assert found.tolist() == best_first(values, maximize, violation)[:count].tolist()
