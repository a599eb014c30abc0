from __future__ import annotations

import numpy as np

from stillhouse.core.cost.spread import spread


def test_a_spread_starts_with_the_smallest_and_the_largest() -> None:
    costs = np.array([[10.0, 3.0], [1.0, 1.0], [100.0, 6.0], [5.0, 2.0]])
    assert list(spread(costs, 2, np.random.default_rng(0))) == [1, 2]


def test_a_spread_covers_the_range_more_evenly_than_the_candidates_do() -> None:
    rng = np.random.default_rng(0)
    costs = np.exp(rng.normal(10, 1, (2000, 1)))
    chosen = np.log(costs[spread(costs, 20, rng), 0])
    gaps = np.diff(np.sort(chosen))
    assert gaps.max() < 3 * np.ptp(np.log(costs)) / 19


def test_a_spread_never_repeats_a_candidate_or_its_equal() -> None:
    costs = np.array([[1.0], [2.0], [2.0], [3.0]])
    chosen = spread(costs, 10, np.random.default_rng(0))
    assert sorted(costs[chosen, 0]) == [1.0, 2.0, 3.0]


def test_a_spread_over_equal_candidates_is_one_of_them() -> None:
    assert len(spread(np.full((5, 2), 7.0), 3, np.random.default_rng(0))) == 1
    assert len(spread(np.empty((0, 2)), 3, np.random.default_rng(0))) == 0


def test_a_spread_follows_from_its_seed() -> None:
    costs = np.random.default_rng(1).integers(1, 9, (200, 2)).astype(float)
    one, two = (spread(costs, 12, np.random.default_rng(4)) for _ in range(2))
    assert np.array_equal(one, two)
