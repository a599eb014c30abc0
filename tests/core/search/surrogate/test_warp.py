from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from stillhouse.core.search.surrogate import Warp

Array = NDArray[np.float64]

MAKERS: list[Callable[[Array], Warp]] = [Warp.straight, Warp.of_values, Warp.of_excess]
every_warp = pytest.mark.parametrize("make", MAKERS)


def skewed() -> Array:
    """Losses with a long tail to the bad side."""
    return np.random.default_rng(0).lognormal(0.0, 1.5, 60) - 2.0


@every_warp
def test_it_is_standardised_over_what_it_was_made_from(make: Callable[[Array], Warp]) -> None:
    warped = make(skewed())(skewed())
    assert warped.mean() == pytest.approx(0.0, abs=1e-12)
    assert warped.std() == pytest.approx(1.0, abs=1e-12)


@every_warp
def test_it_keeps_the_order_far_beyond_what_it_was_made_from(
    make: Callable[[Array], Warp],
) -> None:
    at = np.concatenate([-np.logspace(9, -9, 200), [0.0], np.logspace(-9, 9, 200)])
    assert (np.diff(make(skewed())(at)) >= 0).all()
    assert (np.diff(make(skewed())(np.linspace(-50, 500, 4001))) > 0).all()


def test_the_good_half_keeps_its_proportions_and_broken_ones_lose_their_weight() -> None:
    values = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 1e9])
    warped = Warp.of_values(values)(values)
    steps = np.diff(warped[:4])
    np.testing.assert_allclose(steps[:2], steps[0], rtol=1e-12)
    plain = Warp.straight(values)(values)
    assert warped[2] - warped[0] > 1e6 * (plain[2] - plain[0])


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_the_side_of_the_limit_stays_visible(sign: float) -> None:
    excess = sign * np.array([1e-6, 0.2, 3.0, 1e4])
    warp = Warp.of_excess(excess)
    assert ((warp(excess) > warp(0.0)) == (excess > 0)).all()
    mixed = np.array([-0.3, -1e-9, 0.0, 1e-9, 0.7])
    warp = Warp.of_excess(mixed)
    np.testing.assert_array_equal(np.sign(warp(mixed) - warp(0.0)), np.sign(mixed))


@every_warp
@pytest.mark.parametrize(
    "values", [[0.7], [0.0], [5.0, 5.0, 5.0], [1.0, 1.0, 9.0], [-1.0, -1.0, -1.0, -9.0]]
)
def test_few_and_equal_values_are_mapped_to_numbers(
    make: Callable[[Array], Warp], values: list[float]
) -> None:
    given = np.array(values)
    warped = make(given)(given)
    assert np.isfinite(warped).all()
    assert np.abs(warped).max() < 3.0
    assert len(np.unique(warped)) == len(np.unique(given))
    if len(np.unique(given)) == 1:
        assert not warped.any()
