from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import ndtr

from stillhouse.core.search import hypervolume
from stillhouse.core.search.surrogate import (
    Regions,
    expected_volume,
    log_chance,
    log_improvement,
)

Array = NDArray[np.float64]


def front(points: int, objectives: int, seed: int = 0) -> Array:
    """Points on the unit sphere's positive part: none dominates another."""
    drawn = np.abs(np.random.default_rng(seed).standard_normal((points, objectives))) + 0.05
    normalised: Array = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
    return normalised


def volume(points: Array, reference: Array) -> float:
    return hypervolume(points, reference.tolist(), [False] * len(reference))


def corners(regions: Regions) -> tuple[Array, Array]:
    """Lower and upper bounds of the boxes, each (boxes, objectives)."""
    lower = [edge[regions.lower[:, j]] for j, edge in enumerate(regions.edges)]
    upper = [edge[regions.upper[:, j]] for j, edge in enumerate(regions.edges)]
    return np.stack(lower, axis=1), np.stack(upper, axis=1)


@pytest.mark.parametrize("z", [3.0, 0.0, -0.5, -4.0, -11.9, -12.1, -30.0])
def test_the_improvement_is_the_integral_of_what_lies_below_the_best(z: float) -> None:
    """Integrated with the density at the best taken out, so that nothing underflows."""
    spread, step = 0.3, 1e-5
    gap = np.arange(0.5, 1.5e6) * step
    tail = (gap * np.exp(z * gap - 0.5 * gap * gap)).sum() * step
    expected = np.log(spread * tail) - 0.5 * z * z - 0.5 * np.log(2 * np.pi)
    found = log_improvement(np.array([1.0 - z * spread]), np.array([spread]), 1.0)
    assert found[0] == pytest.approx(expected, abs=1e-4)


def test_the_improvement_stays_finite_and_ordered_however_far() -> None:
    mean = np.concatenate([np.linspace(-40.0, 40.0, 4001), [1e3, 1e6, 1e10]])
    found = log_improvement(mean, np.ones(len(mean)), 0.0)
    assert np.isfinite(found).all()
    assert (np.diff(found) < 0).all()


def test_a_doubtful_candidate_improves_more_than_a_sure_one_of_the_same_mean() -> None:
    spread = np.array([1e-12, 1e-6, 1e-3, 1.0, 1e3])
    assert (np.diff(log_improvement(np.full(5, 0.2), spread, 0.1)) > 0).all()


def test_the_chance_is_the_product_over_outcomes() -> None:
    mean, spread = np.array([[0.0, 1.0], [2.0, -1.0]]), np.array([[1.0, 2.0], [0.5, 1.0]])
    bound = np.array([0.5, 0.0])
    expected = np.log(ndtr((bound - mean) / spread).prod(axis=1))
    np.testing.assert_allclose(log_chance(mean, spread, bound), expected, rtol=1e-12)


def test_the_chance_is_certain_without_outcomes_and_finite_however_small() -> None:
    assert log_chance(np.empty((3, 0)), np.empty((3, 0)), np.empty(0)).tolist() == [0.0] * 3
    far = log_chance(np.array([[1e3], [1e6]]), np.ones((2, 1)), np.zeros(1))
    assert np.isfinite(far).all()
    assert far[0] > far[1]


@pytest.mark.parametrize("objectives", [1, 2, 3, 4])
def test_boxes_are_disjoint_and_cover_all_that_is_not_dominated(objectives: int) -> None:
    points, reference = front(7, objectives), np.full(objectives, 1.1)
    lower, upper = corners(Regions.beyond(points, reference))
    least = np.full(objectives, -0.2)
    sides = np.clip(upper - np.maximum(lower, least), 0.0, None)
    everything = float(np.prod(reference - least))
    free = everything - volume(points, reference)
    assert sides.prod(axis=1).sum() == pytest.approx(free, rel=1e-12)
    within = np.random.default_rng(1).uniform(-0.2, 1.1, (2000, objectives))
    inside = (within[:, None] > lower) & (within[:, None] < upper)
    free_points = ~(points <= within[:, None]).all(axis=2).any(axis=1)
    assert inside.all(axis=2).sum(axis=1).tolist() == free_points.astype(int).tolist()


def test_points_past_the_reference_take_nothing_away() -> None:
    reference = np.array([1.0, 1.0])
    beyond = np.array([[1.0, 0.0], [2.0, -5.0], [0.5, 1.5]])
    for points in (beyond, np.empty((0, 2))):
        lower, upper = corners(Regions.beyond(points, reference))
        assert (lower.tolist(), upper.tolist()) == ([[-np.inf, -np.inf]], [[1.0, 1.0]])


def test_dominated_and_repeated_points_change_nothing() -> None:
    points, reference = front(5, 3), np.full(3, 1.2)
    more = np.concatenate([points, points[:2], points + 0.05])
    mean, spread = front(20, 3, seed=4) * 0.9, np.full((20, 3), 0.1)
    np.testing.assert_allclose(
        expected_volume(mean, spread, Regions.beyond(more, reference)),
        expected_volume(mean, spread, Regions.beyond(points, reference)),
        rtol=1e-10,
    )


@pytest.mark.parametrize("objectives", [1, 2, 3, 4])
@pytest.mark.parametrize("spread", [0.0, 1e-9])
def test_without_doubt_it_is_the_gain_in_hypervolume(objectives: int, spread: float) -> None:
    points, reference = front(6, objectives), np.full(objectives, 1.1)
    candidates = np.random.default_rng(2).uniform(-0.1, 1.3, (40, objectives))
    regions = Regions.beyond(points, reference)
    found = expected_volume(candidates, np.full_like(candidates, spread), regions)
    before = volume(points, reference)
    gains = [volume(np.vstack([points, row]), reference) - before for row in candidates]
    np.testing.assert_allclose(found, gains, rtol=1e-6, atol=1e-8)
    assert 5 < np.count_nonzero(np.array(gains) > 1e-3) < 40


@pytest.mark.parametrize("objectives", [2, 3, 4])
def test_with_doubt_it_is_the_mean_gain_in_hypervolume(objectives: int) -> None:
    """Some objectives known, some doubtful; 400 antithetic pairs against three standard errors."""
    points, reference = front(4, objectives), np.full(objectives, 1.1)
    mean = np.full(objectives, 0.55)
    spread = np.array([0.2, 0.0, 0.05, 0.3])[:objectives]
    noise = np.random.default_rng(3).standard_normal((400, objectives))
    draws = np.concatenate([mean + spread * noise, mean - spread * noise])
    before = volume(points, reference)
    gains = np.array([volume(np.vstack([points, row]), reference) - before for row in draws])
    pairs = gains.reshape(2, -1).mean(axis=0)
    found = expected_volume(mean[None], spread[None], Regions.beyond(points, reference))[0]
    error = pairs.std() / np.sqrt(len(pairs))
    assert found == pytest.approx(pairs.mean(), abs=3 * error)
    assert error < 0.05 * found


def test_one_objective_is_the_plain_improvement() -> None:
    mean, spread = np.linspace(-1.0, 2.0, 9)[:, None], np.full((9, 1), 0.4)
    regions = Regions.beyond(np.array([[0.5]]), np.array([1.0]))
    expected = np.exp(log_improvement(mean[:, 0], spread[:, 0], 0.5))
    np.testing.assert_allclose(expected_volume(mean, spread, regions), expected, rtol=1e-9)


def test_no_volume_is_negative_or_infinite() -> None:
    rng = np.random.default_rng(5)
    points = front(60, 2)
    mean, spread = rng.uniform(-3, 30, (3000, 2)), 10.0 ** rng.uniform(-12, 1, (3000, 2))
    found = expected_volume(mean, spread, Regions.beyond(points, np.full(2, 1.1)))
    assert (found >= 0).all()
    assert np.isfinite(found).all()
    worst = np.array([[np.inf, 0.2], [np.inf, np.inf]])
    assert expected_volume(worst, np.zeros((2, 2)), Regions.beyond(points, np.ones(2))).max() == 0
