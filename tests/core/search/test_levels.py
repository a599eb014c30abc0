from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from stillhouse.core.search.lagrangian import Options, relaxed
from stillhouse.core.search.levels import level_bound, step_of, tightened


def bonus_options(units: int, seed: int) -> Options:
    """Value is minus the use and minus 10 for every step: strongly correlated."""
    rng = np.random.default_rng(seed)
    use = np.cumsum(rng.integers(1, 40, size=(units, 3)), axis=1).astype(float)
    value = (-use - 10.0 * np.arange(3)).ravel()
    high = use[:, 0].sum() + 0.45 * (use[:, 2] - use[:, 0]).sum()
    unit = np.repeat(np.arange(units), 3)
    inf = np.array([np.inf])
    use = use.reshape(-1, 1)
    return Options(0.0, value, use, unit, -inf, np.array([high]), inf, np.array([1e-9]))


def least(options: Options) -> float:
    """By comparing every pick."""
    picks = np.array(list(product(range(3), repeat=len(options.starts)))) + options.starts
    met = options.use[picks, 0].sum(axis=1) <= options.high[0] + 1e-9
    return float(options.value[picks].sum(axis=1)[met].min())


@pytest.mark.parametrize("seed", range(6))
def test_levels_raise_the_bound_but_never_above_the_least_sum(seed: int) -> None:
    options = bonus_options(8, seed)
    start = relaxed(options)
    assert start is not None
    assert start.bound <= level_bound(start) <= least(options) + 1e-9


def test_levels_close_most_of_the_gap_of_strongly_correlated_values() -> None:
    gaps = []
    for seed in range(6):
        options = tightened(bonus_options(8, seed))
        start = relaxed(options)
        assert start is not None
        gaps.append((least(options) - start.bound, least(options) - level_bound(start)))
    before, after = np.sum(gaps, axis=0)
    assert after < 0.5 * before


def test_limits_move_to_the_nearest_sum_within_them() -> None:
    """Sums are 2 plus a multiple of 3: 2, 5, 8, 11."""
    options = Options(
        constant=0.0,
        value=np.zeros(4),
        use=np.array([[2.0], [5.0], [0.0], [6.0]]),
        unit=np.array([0, 0, 1, 1]),
        low=np.array([2.1]),
        high=np.array([10.9]),
        price=np.array([np.inf]),
        tolerance=np.array([1e-9]),
    )
    moved = tightened(options)
    assert (moved.low.tolist(), moved.high.tolist()) == ([5.0], [8.0])


def test_a_step_is_the_greatest_that_all_differences_have() -> None:
    unit = np.array([0, 0, 1, 1, 1])
    assert step_of(np.array([1.0, 7.0, 100.0, 109.0, 100.0]), unit) == 3.0
    assert step_of(np.array([0.1, 0.7, 5.0, 5.9, 5.0]), unit) == pytest.approx(0.3)
    assert step_of(np.array([0.1, np.pi, 5.0, 5.9, 5.0]), unit) == 0.0
