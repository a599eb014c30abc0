from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from stillhouse.core.search.surrogate.kernel import (
    Settings,
    _unlikelihood,
    fit,
    matern,
    squares,
)

Array = NDArray[np.float64]
GROUPS = np.array([0, 0, 1, 2], dtype=np.int64)


def observed(count: int, noise: float, seed: int = 0) -> tuple[Array, Array]:
    """Inputs (n, 4) and standardised targets that only group 1 and the noise decide."""
    rng = np.random.default_rng(seed)
    inputs = rng.random((count, 4))
    targets = np.sin(5 * inputs[:, 2]) + noise * rng.standard_normal(count)
    return inputs, (targets - targets.mean()) / targets.std()


def parts(inputs: Array) -> Array:
    columns = [inputs[:, np.isin(GROUPS, group)] for group in range(3)]
    return np.stack([squares(part, part) for part in columns])


def test_squared_distances_are_those_of_the_definition() -> None:
    a, b = np.random.default_rng(0).random((2, 5, 3))
    expected = ((a[:, None] - b[None]) ** 2).sum(axis=2)
    np.testing.assert_allclose(squares(a, b), expected, rtol=1e-12)
    assert squares(np.empty((2, 0)), np.empty((3, 0))).tolist() == [[0.0] * 3] * 2


def test_the_covariance_is_matern_five_halves() -> None:
    r = np.array([0.0, 0.1, 1.0, 3.0, 50.0])
    root = np.sqrt(5.0) * r
    expected = (1 + root + 5 * r**2 / 3) * np.exp(-root)
    np.testing.assert_allclose(matern(r**2), expected, rtol=1e-12)
    assert matern(np.array([-1e-15])).tolist() == [1.0]


def test_single_precision_stays_single() -> None:
    single = matern(squares(*np.random.default_rng(0).random((2, 4, 3)).astype(np.float32)))
    assert single.dtype == np.float32


def test_relevance_weighs_squared_distances_by_group() -> None:
    inputs = observed(6, 0.0)[0]
    scaled = Settings(np.log([4.0, 0.5, 9.0]), 0.0).scaled(inputs, GROUPS)
    expected = np.tensordot([4.0, 0.5, 9.0], parts(inputs), 1)
    np.testing.assert_allclose(squares(scaled, scaled), expected, atol=1e-13)


def test_the_likelihood_is_that_of_the_normal_density_with_the_best_variance() -> None:
    inputs, targets = observed(12, 0.1)
    point = np.array([0.3, 1.0, -0.5, -3.0])
    covariance = matern(np.tensordot(np.exp(point[:3]), parts(inputs), 1))
    covariance += np.exp(-3.0) * np.eye(12)

    def unlikelihood(variance: float) -> float:
        whole = variance * covariance
        fit_error = targets @ np.linalg.solve(whole, targets)
        return float(0.5 * fit_error + 0.5 * np.linalg.slogdet(whole)[1])

    least = min(unlikelihood(variance) for variance in np.exp(np.linspace(-4, 4, 4001)))
    assert _unlikelihood(point, parts(inputs), targets)[0] + 6.0 == pytest.approx(least, abs=1e-5)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_its_gradient_agrees_with_finite_differences(seed: int) -> None:
    inputs, targets = observed(15, 0.1, seed)
    inputs[5:8] = inputs[4]
    point = np.random.default_rng(seed).normal([0.5, 1.0, -1.0, -3.0])
    _, slope = _unlikelihood(point, parts(inputs), targets)
    steps = 1e-5 * np.eye(4)
    measured = [
        (
            _unlikelihood(point + step, parts(inputs), targets)[0]
            - _unlikelihood(point - step, parts(inputs), targets)[0]
        )
        / 2e-5
        for step in steps
    ]
    np.testing.assert_allclose(slope, measured, rtol=1e-6, atol=1e-7)


def test_the_group_that_matters_becomes_relevant_and_the_noise_is_found() -> None:
    settings = fit(*observed(80, 0.2), GROUPS, None)
    assert settings.relevance[1] > settings.relevance[[0, 2]].max() + 3.0
    variance = 0.2**2 / 0.5
    assert variance / 5 < np.exp(settings.noise) < 2 * variance


def test_a_fit_repeats_itself_and_goes_on_from_a_start() -> None:
    inputs, targets = observed(60, 0.1)
    first, again = (fit(inputs, targets, GROUPS, None) for _ in range(2))
    np.testing.assert_array_equal(first.relevance, again.relevance)
    assert first.noise == again.noise
    onwards = fit(inputs, targets, GROUPS, first)
    np.testing.assert_allclose(onwards.relevance, first.relevance, atol=0.05)
    assert onwards.noise == pytest.approx(first.noise, abs=0.05)


@pytest.mark.parametrize("case", ["equal values", "one row", "equal rows", "no columns"])
def test_odd_observations_are_harmless(case: str) -> None:
    inputs, targets = observed(8, 0.0)
    groups = GROUPS
    if case == "equal values":
        targets = np.zeros(8)
    elif case == "one row":
        inputs, targets = inputs[:1], np.zeros(1)
    elif case == "equal rows":
        inputs = np.repeat(inputs[:1], 8, axis=0)
    else:
        inputs, groups = np.empty((8, 0)), GROUPS[:0]
    settings = fit(inputs, targets, groups, None)
    assert settings.relevance.shape == (int(groups.max(initial=-1)) + 1,)
    assert np.isfinite([*settings.relevance, settings.noise]).all()


def test_a_group_that_never_differed_is_not_taken_for_the_most_relevant() -> None:
    inputs, targets = observed(40, 0.05)
    inputs[:, 3] = 0.5
    settings = fit(inputs, targets, GROUPS, None)
    assert settings.relevance[2] < settings.relevance[1]
