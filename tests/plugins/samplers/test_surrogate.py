from __future__ import annotations

import numpy as np
import pytest

from stillhouse.plugins.samplers.surrogate import fit


def test_known_points_are_recalled_with_little_doubt() -> None:
    inputs = np.random.default_rng(0).random((60, 3))
    values = np.stack([np.sin(3 * inputs[:, 0]) + inputs[:, 1], inputs[:, 2] ** 2], axis=1)
    mean, spread = fit(inputs, values).predict(inputs)
    assert mean == pytest.approx(values, abs=0.02)
    assert (spread < 0.1 * values.std(axis=0)).all()


def test_smooth_functions_are_predicted_between_the_points() -> None:
    rng = np.random.default_rng(1)
    inputs, new = rng.random((120, 3)), rng.random((50, 3))
    truth = np.sin(3 * new[:, 0]) + new[:, 1] * new[:, 2]
    values = np.sin(3 * inputs[:, 0]) + inputs[:, 1] * inputs[:, 2]
    mean, _ = fit(inputs, values[:, None]).predict(new)
    assert np.corrcoef(mean[:, 0], truth)[0, 1] > 0.99


def test_doubt_grows_far_from_the_points() -> None:
    inputs = np.random.default_rng(2).random((30, 2)) * 0.2
    _, spread = fit(inputs, inputs[:, :1]).predict(np.array([[0.1, 0.1], [1.0, 1.0]]))
    assert spread[1, 0] > 5 * spread[0, 0]


@pytest.mark.parametrize("features", [0, 2])
def test_constant_values_and_equal_inputs_are_harmless(features: int) -> None:
    mean, spread = fit(np.zeros((4, features)), np.full((4, 1), 0.7)).predict(
        np.zeros((2, features))
    )
    assert mean == pytest.approx(np.full((2, 1), 0.7))
    assert np.isfinite(spread).all()
