from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from stillhouse.core.search.surrogate import Model, Warp, one_blas_thread
from stillhouse.core.search.surrogate.model import _telling

Array = NDArray[np.float64]
GROUPS = np.array([0, 1, 1], dtype=np.int64)
NEW = np.random.default_rng(7).random((40, 3))


def inputs(count: int) -> Array:
    return np.random.default_rng(0).random((count, 3))


def values(count: int) -> Array:
    """A value and an excess over a limit, both smooth."""
    at = inputs(count)
    return np.stack([np.exp(2 * at[:, 0]) + at[:, 1], at[:, 1] - at[:, 2]], axis=1)


def model() -> Model:
    return Model(GROUPS, [Warp.of_values, Warp.of_excess])


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    with one_blas_thread():
        yield


def test_each_column_is_predicted_on_its_own_scale() -> None:
    made = model()
    made.learn(inputs(60), values(60))
    mean, spread = made.predict(NEW)
    truth = np.stack([np.exp(2 * NEW[:, 0]) + NEW[:, 1], NEW[:, 1] - NEW[:, 2]], axis=1)
    for j, warp in enumerate(made.warps):
        errors = mean[:, j] - warp(truth[:, j])
        assert np.sqrt((errors**2).mean()) < 0.1
        assert (np.abs(errors) < 5 * spread[:, j] + 0.05).all()


def test_learning_on_equals_learning_from_the_start_with_the_same_settings() -> None:
    """40 to 44 observations are too few new ones for new settings."""
    grown, fresh = model(), model()
    for count in (40, 41, 44):
        grown.learn(inputs(count), values(count))
    fresh.learn(inputs(40), values(40))
    fresh.learn(inputs(44), values(44))
    anew = model()
    anew.learn(inputs(40), values(44)[:40])
    anew.learn(inputs(44), values(44))
    for other in (fresh, anew):
        for a, b in zip(grown.predict(NEW), other.predict(NEW), strict=True):
            np.testing.assert_allclose(a, b, rtol=0, atol=1e-8)


def test_learning_the_same_twice_changes_nothing() -> None:
    made = model()
    made.learn(inputs(30), values(30))
    before = made.predict(NEW)
    made.learn(inputs(30), values(30))
    np.testing.assert_array_equal(before, made.predict(NEW))


def test_earlier_values_may_change_when_later_ones_come() -> None:
    """A failed evaluation counts as the worst that was seen, which may become worse."""
    made, other = model(), model()
    changed = values(32).copy()
    made.learn(inputs(31), values(31))
    other.learn(inputs(31), values(31))
    changed[3] = 50.0
    made.learn(inputs(32), changed)
    other.learn(inputs(32), values(32))
    at = made.posteriors[0].at_data
    assert at[3] > other.posteriors[0].at_data[3] + 1.0


def test_believing_leaves_the_model_as_it_was() -> None:
    made = model()
    made.learn(inputs(30), values(30))
    before, targets = made.predict(NEW), made.targets.copy()
    rough = made.rough(NEW)
    believer = made.believing(NEW[:3]).believing(NEW[3:4])
    np.testing.assert_array_equal(before, made.predict(NEW))
    np.testing.assert_array_equal(rough, made.rough(NEW))
    np.testing.assert_array_equal(targets, made.targets)
    made.learn(inputs(34), values(34))
    again = model()
    again.learn(inputs(30), values(30))
    again.learn(inputs(34), values(34))
    np.testing.assert_array_equal(made.predict(NEW), again.predict(NEW))
    assert len(believer.targets) == 34


def test_what_is_believed_keeps_the_means_and_takes_the_doubt_away() -> None:
    made = model()
    made.learn(inputs(30), values(30))
    mean, spread = made.predict(NEW)
    at_once, one_by_one = made.believing(NEW[:4]), made
    for row in NEW[:4]:
        one_by_one = one_by_one.believing(row[None])
    for believer in (at_once, one_by_one):
        later, left = believer.predict(NEW)
        np.testing.assert_allclose(later, mean, atol=1e-8)
        assert (left[:4] < 0.8 * spread[:4]).all()
        assert (left < spread).all()
    np.testing.assert_allclose(at_once.predict(NEW), one_by_one.predict(NEW), atol=1e-8)


def test_the_rough_answer_looks_at_few_but_agrees() -> None:
    count = 700
    made = model()
    made.learn(inputs(count), values(count))
    mean, spread = made.predict(NEW)
    rough, bound = made.rough(NEW)
    np.testing.assert_allclose(rough, mean, atol=0.2)
    assert (bound > spread).all()


def test_inducing_points_serve_when_observations_are_many() -> None:
    count = 2100
    made = Model(GROUPS, [Warp.of_values])
    made.learn(inputs(count), values(count)[:, :1])
    grown = made.believing(NEW[:2])
    truth = made.warps[0](np.exp(2 * NEW[:, 0]) + NEW[:, 1])
    for each in (made, grown):
        mean, spread = each.predict(NEW)
        assert np.abs(mean[:, 0] - truth).max() < 0.1
        assert (spread > 0).all()


def test_without_outputs_there_is_nothing_to_predict() -> None:
    """Every objective is a known cost, and no measured value has a limit."""
    made = Model(GROUPS, [])
    for count in (3, 4, 600):
        made.learn(inputs(count), np.empty((count, 0)))
    for each in (made, made.believing(NEW[:2])):
        for found in (*each.predict(NEW), *each.rough(NEW)):
            assert found.shape == (40, 0)
    assert made.targets.shape == (600, 0)
    assert made.believing(NEW[:2]).targets.shape == (602, 0)


@pytest.mark.parametrize("case", ["one", "equal values", "equal inputs", "constant column", "bare"])
def test_odd_observations_give_numbers(case: str) -> None:
    at, told, groups = inputs(12), values(12), GROUPS
    new = NEW
    if case == "one":
        at, told = at[:1], told[:1]
    elif case == "equal values":
        told = np.full((12, 2), 0.7)
    elif case == "equal inputs":
        at = np.repeat(at[:1], 12, axis=0)
    elif case == "constant column":
        at[:, 0] = 0.3
    else:
        at, new, groups = at[:, :0], new[:, :0], groups[:0]
    made = Model(groups, [Warp.of_values, Warp.of_excess])
    made.learn(at, told)
    for each in (made, made.believing(new[:2])):
        for mean, spread in (each.predict(new), each.rough(new)):
            assert np.isfinite(mean).all()
            assert np.isfinite(spread).all()
            assert (spread > 0).all()


@pytest.mark.parametrize("most", [1, 2, 3, 4, 10, 31])
def test_the_telling_ones_are_exactly_as_many_as_wanted_and_differ(most: int) -> None:
    rng = np.random.default_rng(0)
    for count in range(1, 70):
        for targets in (rng.random(count), np.zeros(count), np.arange(count) * 1.0):
            some = _telling(targets, most)
            assert len(np.unique(some)) == len(some) == min(most, count)
            assert (some >= 0).all()
            assert (some < count).all()


def test_the_telling_ones_hold_the_best_and_the_latest() -> None:
    targets = np.random.default_rng(1).random(1000)
    some = _telling(targets, 90)
    assert np.isin(np.argsort(targets)[:30], some).all()
    assert np.isin(np.arange(970, 1000), some).all()
    assert np.diff(some).max() < 100
