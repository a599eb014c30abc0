"""What is promised by candidates that were never evaluated."""

from __future__ import annotations

import numpy as np
import pytest

from stillhouse.core.cost.limits import Limit
from stillhouse.core.run.prospects import Aim, Rows, chance, predicted
from stillhouse.core.search.front import hypervolume
from stillhouse.core.space import Integer, Space

SPACE = Space([Integer("a", 0, 30), Integer("b", 0, 30)])


def surface(codes: np.ndarray) -> np.ndarray:
    a, b = codes.T / 30
    return np.stack([np.sin(3 * a) + b**2, a - b], axis=1)


def rows(codes: np.ndarray) -> Rows:
    """Candidates whose cost has nothing to do with the surface."""
    return Rows(SPACE, codes, {"parameters": codes.sum(axis=1) % 7})


def test_predictions_follow_the_evaluations_within_their_doubts() -> None:
    rng = np.random.default_rng(0)
    told, others = SPACE.sample(60, rng), SPACE.sample(200, rng)
    mean, spread = predicted(rows(told), surface(told), rows(others))
    assert mean.shape == spread.shape == (200, 2)
    errors = np.abs(mean - surface(others))
    assert np.sqrt((errors**2).mean()) < 0.1 * surface(others).std()
    assert (errors < 2 * spread + 0.01).mean() > 0.9


def test_what_lies_far_from_all_evaluations_is_doubted_most() -> None:
    near = np.array([[29.0, 29.0], [30.0, 29.0], [29.0, 30.0], [28.0, 28.0], [27.0, 29.0]])
    asked = rows(np.concatenate([near, [[0.0, 0.0]]]))
    _, doubt = predicted(rows(near), surface(near), asked)
    assert (doubt[:-1] < 0.5 * doubt[-1]).all()


def test_a_cost_that_tells_the_quality_is_used() -> None:
    rng = np.random.default_rng(2)
    told, others = SPACE.sample(80, rng), SPACE.sample(200, rng)
    hidden = [(np.sin(codes @ [12.9898, 78.233]) * 43758.5453) % 1 for codes in (told, others)]
    known, asked = (
        Rows(SPACE, codes, {"macs": 1000.0**part})
        for codes, part in zip((told, others), hidden, strict=True)
    )
    mean, _ = predicted(known, hidden[0][:, None], asked)
    assert np.corrcoef(mean[:, 0], hidden[1])[0, 1] > 0.8


def test_a_long_run_is_predicted_from_its_ends() -> None:
    told = SPACE.unique(SPACE.sample(2000, np.random.default_rng(1)))
    assert len(told) > 400
    mean, _ = predicted(rows(told), surface(told), rows(told[:50]))
    np.testing.assert_allclose(mean, surface(told[:50]), atol=0.05)


def test_equal_values_are_predicted_without_surprise() -> None:
    told = SPACE.sample(5, np.random.default_rng(0))
    mean, spread = predicted(rows(told), np.full((5, 1), 0.7), rows(told[:2]))
    np.testing.assert_allclose(mean, 0.7)
    assert (spread >= 0).all()


def test_expected_improvement_is_the_mean_of_what_is_gained() -> None:
    aim = Aim(np.array([[1.0], [0.8]]), np.array([3.0]))
    mean, spread = np.array([[0.5], [0.8], [1.2]]), np.array([[0.2], [0.1], [0.4]])
    draws = mean + spread * np.random.default_rng(0).standard_normal((3, 400_000))
    expected = np.maximum(0.8 - draws, 0.0).mean(axis=1)
    np.testing.assert_allclose(aim.improvement(mean, spread), expected, rtol=0.01)


def test_what_is_certain_gains_its_distance_or_nothing() -> None:
    aim = Aim(np.array([[1.0]]), np.array([3.0]))
    gains = aim.improvement(np.array([[0.4], [2.0]]), np.zeros((2, 1)))
    assert gains.tolist() == [0.6, 0.0]


def test_where_nothing_is_known_within_the_limits_the_worst_is_to_be_beaten() -> None:
    aim = Aim(np.empty((0, 1)), np.array([3.0]))
    assert aim.improvement(np.array([[2.0]]), np.zeros((1, 1))).tolist() == [1.0]
    assert aim.beaten(np.array([[9.0]])).tolist() == [True]


def test_several_objectives_gain_hypervolume() -> None:
    front, worst = np.array([[0.2, 0.8], [0.6, 0.4]]), np.array([1.0, 1.0])
    mean = np.array([[0.3, 0.5], [0.7, 0.9], [0.6, 0.4]])
    gains = Aim(front, worst).improvement(mean, np.zeros((3, 2)))
    both = [False, False]
    more = hypervolume(np.vstack([front, mean[:1]]), worst.tolist(), both)
    gained = more - hypervolume(front, worst.tolist(), both)
    np.testing.assert_allclose(gains, [gained, 0.0, 0.0], atol=1e-12)
    assert gained > 0.05
    assert Aim(front, worst).beaten(mean).tolist() == [True, False, False]


@pytest.mark.parametrize(
    ("limit", "mean", "spread", "expected"),
    [
        (Limit("accuracy", ">=", 0.9), 0.9, 0.1, 0.5),
        (Limit("accuracy", ">=", 0.9), 1.0, 0.1, 0.8413447460685429),
        (Limit("loss", "<=", 0.9), 1.0, 0.1, 0.15865525393145707),
        (Limit("loss", "<=", 0.9), 0.9, 0.0, 1.0),
        (Limit("loss", "<=", 0.9), 1.0, 0.0, 0.0),
    ],
)
def test_the_chance_to_meet_a_limit(
    limit: Limit, mean: float, spread: float, expected: float
) -> None:
    found = chance([limit], np.array([[mean]]), np.array([[spread]]))
    np.testing.assert_allclose(found, [expected], atol=1e-12)
