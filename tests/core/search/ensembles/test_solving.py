"""Solvers against each other, and what they promise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from stillhouse.core.errors import UserError
from stillhouse.core.search.ensembles import OBJECTIVES, SOLVERS, TEMPERATURES, loss, solve
from stillhouse.core.search.ensembles.evolution import evolve
from stillhouse.core.search.ensembles.reduction import reduced

Drawn = Callable[..., Any]


@pytest.mark.parametrize("seed", range(20))
def test_differential_evolution_comes_within_a_ten_thousandth_of_em(
    drawn: Drawn, seed: int
) -> None:
    found = solve(*drawn(seed, models=2 + seed % 5), seed=seed)
    exact = solve(*drawn(seed, models=2 + seed % 5), solver="em")
    assert found.gap == found.value - exact.value
    assert -1e-9 <= found.gap <= 1e-4


@pytest.mark.parametrize("seed", range(5))
def test_slsqp_agrees_with_em(drawn: Drawn, seed: int) -> None:
    given = drawn(seed, models=6)
    assert solve(*given, solver="slsqp").value == pytest.approx(
        solve(*given, solver="em").value, abs=1e-6
    )


@settings(max_examples=12, deadline=None)
@given(
    arrays(np.float64, (3, 10, 4), elements=st.floats(0.001, 1)),
    st.sampled_from(OBJECTIVES),
    st.sampled_from(["probabilities", "logits"]),
    st.sampled_from([1.0, "search"]),
)
def test_nothing_found_is_worse_than_the_best_single_or_uniform(
    raw: Any, objective: str, mixing: str, temperature: float | str
) -> None:
    p, y = raw / raw.sum(-1, keepdims=True), np.arange(10) % 4
    found = solve(p, y, objective=objective, mixing=mixing, temperature=temperature)
    known = [*np.eye(3), np.full(3, 1 / 3)]
    values = [loss(p, y, w, objective=objective, mixing=mixing) for w in known]
    assert found.value <= min(values) + 1e-12
    assert found.weights.min() >= 0
    assert abs(found.weights.sum() - 1) < 1e-9


def test_the_value_is_that_of_the_weights(drawn: Drawn) -> None:
    p, y = drawn(0)
    for solver in set(SOLVERS) - {"stacking"}:
        found = solve(p, y, solver=solver)
        assert found.value == pytest.approx(loss(p, y, found.weights), abs=1e-14)


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("mixing", ["probabilities", "logits"])
def test_one_by_one_and_all_at_once_find_the_same_bits(
    drawn: Drawn, objective: str, mixing: str
) -> None:
    family = reduced(*drawn(1, samples=80), objective, mixing, "search")
    together, again = evolve(family, 3, generations=15), evolve(family, 3, generations=15)
    serial = evolve(family, 3, generations=15, vectorised=False)
    for other in (again, serial):
        assert other.weights.tolist() == together.weights.tolist()
        assert other.temperature == together.temperature
    assert evolve(family, 4, generations=15).weights.tolist() != together.weights.tolist()


def test_two_processes_find_the_same_bits(drawn: Drawn) -> None:
    here, there = solve(*drawn(2), seed=5), solve(*drawn(2), seed=5, workers=2)
    assert there.weights.tolist() == here.weights.tolist()
    assert there.evaluations == here.evaluations


@pytest.mark.parametrize("solver", ["differential-evolution", "em"])
def test_a_model_of_random_probabilities_gets_next_to_nothing(drawn: Drawn, solver: str) -> None:
    for seed in range(5):
        p, y = drawn(seed)
        noise = np.random.default_rng(seed).dirichlet(np.ones(5), (1, len(y)))
        before = solve(p, y, solver=solver)
        after = solve(np.concatenate([p, noise]), y, solver=solver)
        assert after.weights[-1] < 0.05
        assert after.value <= before.value + 1e-6


@pytest.mark.parametrize("solver", ["differential-evolution", "em", "slsqp"])
def test_a_duplicate_changes_nothing(drawn: Drawn, solver: str) -> None:
    for seed in range(5):
        p, y = drawn(seed)
        before = solve(p, y, solver=solver)
        after = solve(np.concatenate([p, p[:1]]), y, solver=solver)
        assert after.value == pytest.approx(before.value, abs=1e-6)


def test_the_right_temperature_is_found() -> None:
    rng = np.random.default_rng(0)
    z = 2 * rng.normal(size=(3000, 4))
    true = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    y = (true.cumsum(1) > rng.random((3000, 1))).argmax(1)
    sharp = np.exp(2 * z) / np.exp(2 * z).sum(1, keepdims=True)
    noise = rng.dirichlet(np.ones(4), 3000)
    for solver in ("differential-evolution", "slsqp"):
        for mixing in ("probabilities", "logits"):
            found = solve(
                np.stack([sharp, noise]), y, solver=solver, mixing=mixing, temperature="search"
            )
            assert abs(np.log2(found.temperature) - 1) <= 0.25
            assert found.temperature in TEMPERATURES
            assert found.gap is not None
            assert abs(found.gap) < 1e-6


def test_greedy_starts_from_the_best_and_weighs_by_picks(drawn: Drawn) -> None:
    for seed in range(4):
        p, y = drawn(seed)
        found, best = solve(p, y, solver="greedy"), solve(p, y, solver="best-single")
        picks = found.evaluations // 4
        np.testing.assert_allclose(found.weights * picks, np.rint(found.weights * picks), atol=1e-9)
        assert found.weights[best.weights.argmax()] >= 1 / picks - 1e-12
        assert found.value <= best.value
        assert found.gap is not None
        assert 0 <= found.gap + 1e-9 < 5e-3


def test_a_function_of_weights_can_be_minimised(drawn: Drawn) -> None:
    aim = np.array([0.5, 0.3, 0.2, 0.0])
    found = solve(*drawn(0), objective=lambda w: float(((w - aim) ** 2).sum()))
    np.testing.assert_allclose(found.weights, aim, atol=1e-3)
    assert found.objective == "function"
    assert found.gap is None


@pytest.mark.parametrize("solver", SOLVERS)
def test_one_model_gets_weight_one_without_a_search(drawn: Drawn, solver: str) -> None:
    p, y = drawn(0, models=1)
    found = solve(p, y, solver=solver)
    assert found.weights.tolist() == [1.0]
    assert found.evaluations == 1
    assert found.value == loss(p, y, [1.0])


@pytest.mark.parametrize("solver", ["differential-evolution", "em", "slsqp"])
def test_a_start_is_never_made_worse(drawn: Drawn, solver: str) -> None:
    p, y = drawn(6)
    start = solve(p, y, solver="em").weights
    assert solve(p, y, solver=solver, start=start).value <= loss(p, y, start) + 1e-8


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"solver": "differential_evolution"}, "did you mean 'differential-evolution'"),
        ({"solver": "em", "objective": "brier"}, "em: expected log_loss of mixed probabilities"),
        ({"solver": "em", "mixing": "logits"}, "em: expected log_loss of mixed probabilities"),
        ({"solver": "slsqp", "objective": "accuracy"}, "slsqp: expected log_loss or brier"),
        ({"solver": "stacking", "temperature": 2.0}, "stacking: expected one label"),
        ({"start": [0, 0, 0, 0]}, "got all zero"),
        ({"start": [1, 0, 0]}, "expected 4 finite weights"),
        ({"start": [1, 0, 0, -1]}, "of 0 or more"),
    ],
)
def test_what_does_not_fit_together_is_refused(
    drawn: Drawn, setting: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        solve(*drawn(0), **setting)
