from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from stillhouse.core.search.surrogate.kernel import Settings, matern, squares
from stillhouse.core.search.surrogate.process import Exact, Factor, Inducing

Array = NDArray[np.float64]
GROUPS = np.array([0, 0, 1], dtype=np.int64)
SETTINGS = Settings(np.log([1.5, 4.0]), float(np.log(0.02)))
EVERYWHERE = np.random.default_rng(9).random((25, 3)) * 1.5


def inputs(count: int = 30) -> Array:
    return np.random.default_rng(0).random((count, 3))


def targets(count: int = 30) -> Array:
    at = inputs(count)
    out: Array = np.sin(4 * at[:, 0]) + at[:, 1] * at[:, 2]
    return (out - out.mean()) / (out.std() or 1.0)


def covariance(a: Array, b: Array) -> Array:
    return matern(squares(SETTINGS.scaled(a, GROUPS), SETTINGS.scaled(b, GROUPS)))


def dense(at: Array, values: Array, new: Array) -> tuple[Array, Array, float]:
    """Mean, variance and signal variance by the formulas with the inverse written out."""
    inverse = np.linalg.inv(covariance(at, at) + 0.02 * np.eye(len(at)))
    variance = float(values @ inverse @ values) / len(at)
    cross = covariance(new, at)
    left = 1.0 - np.einsum("ij,jk,ik->i", cross, inverse, cross)
    return cross @ inverse @ values, variance * left, variance


def processes(count: int) -> list[Factor]:
    """Both kinds, the second with every observation chosen."""
    at = inputs(count)
    return [Exact(at, GROUPS, SETTINGS), Inducing(at, GROUPS, SETTINGS, np.arange(count))]


@pytest.mark.parametrize("count", [1, 2, 30])
def test_predictions_are_those_of_the_dense_formula(count: int) -> None:
    mean, variance, _ = dense(inputs(count), targets(count) + 0.1, EVERYWHERE)
    for factor, close in zip(processes(count), (1e-9, 2e-4), strict=True):
        found = factor.posterior(targets(count) + 0.1).predict(EVERYWHERE)
        np.testing.assert_allclose(found[0], mean, atol=close)
        np.testing.assert_allclose(found[1], np.sqrt(variance), rtol=close)


def test_the_value_at_an_observation_is_its_prediction() -> None:
    for factor in processes(30):
        posterior = factor.posterior(targets())
        np.testing.assert_allclose(posterior.predict(inputs())[0], posterior.at_data, atol=1e-9)


def test_extending_equals_starting_anew() -> None:
    at, values = inputs(), targets()
    whole = [
        Exact(at, GROUPS, SETTINGS),
        Inducing(at, GROUPS, SETTINGS, np.arange(12)),
    ]
    parts: list[Factor] = [
        Exact(at[:12], GROUPS, SETTINGS),
        Inducing(at[:12], GROUPS, SETTINGS, np.arange(12)),
    ]
    for factor, part in zip(whole, parts, strict=True):
        grown = part.extended(at[12:13]).extended(at[13:]).posterior(values)
        fresh = factor.posterior(values)
        for a, b in zip(grown.predict(EVERYWHERE), fresh.predict(EVERYWHERE), strict=True):
            np.testing.assert_allclose(a, b, atol=1e-9)
        np.testing.assert_allclose(grown.at_data, fresh.at_data, atol=1e-9)
        assert grown.calibration() == pytest.approx(fresh.calibration(), rel=1e-7)


def test_extending_leaves_the_former_one_as_it_was() -> None:
    for factor in processes(20):
        before = factor.posterior(targets(20)).predict(EVERYWHERE)
        factor.extended(EVERYWHERE[:5])
        after = factor.posterior(targets(20)).predict(EVERYWHERE)
        np.testing.assert_array_equal(before, after)


def test_a_few_inducing_points_explain_most() -> None:
    at, values = inputs(200), targets(200)
    mean, deviation = (
        Inducing(at, GROUPS, SETTINGS, np.arange(60)).posterior(values).predict(EVERYWHERE)
    )
    exact = Exact(at, GROUPS, SETTINGS).posterior(values).predict(EVERYWHERE)
    assert np.abs(mean - exact[0]).max() < 0.3 * exact[1].max()
    assert (deviation > 0.9 * exact[1]).all()
    assert (deviation < 2.5 * exact[1]).all()


def test_the_rough_answer_has_the_same_mean_and_no_less_doubt() -> None:
    for factor in processes(30):
        posterior = factor.posterior(targets())
        mean, deviation = posterior.predict(EVERYWHERE)
        rough, bound = posterior.rough(EVERYWHERE)
        np.testing.assert_allclose(rough, mean, atol=1e-4)
        assert (bound >= deviation * (1 - 1e-5)).all()
        assert (bound <= np.sqrt(dense(inputs(), targets(), EVERYWHERE)[2]) * (1 + 1e-3)).all()


def test_calibration_is_what_leaving_one_out_gives() -> None:
    """By brute force: without each observation in turn, at the variance of all of them."""
    at, values = inputs(), targets()
    variance = dense(at, values, at)[2]
    ratios = []
    for i in range(len(at)):
        rest = np.delete(np.arange(len(at)), i)
        mean, left, own = dense(at[rest], values[rest], at[i : i + 1])
        ratios.append((values[i] - mean[0]) ** 2 / (variance * (left[0] / own + 0.02)))
    expected = np.sqrt(np.mean(ratios))
    exact, inducing = (factor.posterior(values).calibration() for factor in processes(30))
    assert exact == pytest.approx(expected, rel=1e-9)
    assert inducing == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("kind", ["exact", "inducing"])
def test_repeated_inputs_with_other_values_are_averaged(kind: str) -> None:
    at = np.repeat(inputs(4), 20, axis=0)
    values = np.tile([-1.0, 1.0], 40) + np.repeat([0.0, 1.0, 2.0, 3.0], 20)
    chosen = np.arange(80)
    factor = (
        Exact(at, GROUPS, SETTINGS) if kind == "exact" else Inducing(at, GROUPS, SETTINGS, chosen)
    )
    mean, deviation = factor.posterior(values).predict(inputs(4))
    np.testing.assert_allclose(mean, [0.0, 1.0, 2.0, 3.0], atol=0.05)
    assert (deviation > 0).all()


def test_equal_values_leave_no_doubt_and_no_surprise() -> None:
    for factor in processes(10):
        posterior = factor.posterior(np.zeros(10))
        mean, deviation = posterior.predict(EVERYWHERE)
        assert not mean.any()
        assert (deviation > 0).all()
        assert (deviation <= 1e-6).all()
        assert posterior.calibration() == 0.0
