"""Assistants that hardly count go, one at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from stillhouse.core.errors import UserError
from stillhouse.core.search.ensembles import prune, solve

Drawn = Callable[..., Any]


@pytest.mark.parametrize("solver", ["em", "differential-evolution"])
def test_models_of_random_probabilities_go(drawn: Drawn, solver: str) -> None:
    p, y = drawn(0, models=3)
    noise = np.random.default_rng(0).dirichlet(np.full(5, 0.3), (2, len(y)))
    found = prune(np.concatenate([noise[:1], p, noise[1:]]), y, solver=solver)
    assert {gone.model for gone in found.dropped} >= {0, 4}
    assert found.solution.weights[[0, 4]].tolist() == [0.0, 0.0]
    assert found.solution.weights.sum() == pytest.approx(1, abs=1e-12)
    assert all(gone.weight < 0.02 and gone.rise < 1e-3 for gone in found.dropped)


def test_the_solution_is_that_of_the_models_kept(drawn: Drawn) -> None:
    p, y = drawn(1, models=6)
    found = prune(p, y, solver="em", weight=0.2, rise=0.01)
    assert found.dropped
    assert sorted([*found.kept, *(gone.model for gone in found.dropped)]) == list(range(6))
    alone = solve(p[list(found.kept)], y, solver="em")
    assert found.solution.value == pytest.approx(alone.value, abs=1e-12)
    full = solve(p, y, solver="em").value
    assert found.solution.value - full == pytest.approx(found.dropped[-1].rise, abs=1e-12)
    assert found.dropped[-1].rise < 0.01


def test_a_small_weight_stays_where_the_loss_would_rise(drawn: Drawn) -> None:
    p, y = drawn(1, models=6)
    found = prune(p, y, solver="em", weight=1.1, rise=1e-12)
    spared = [model for model in range(6) if solve(p, y, solver="em").weights[model] > 0.01]
    assert set(spared) <= set(found.kept)


def test_one_of_two_equal_models_goes_if_it_may(drawn: Drawn) -> None:
    p, y = drawn(2, models=2)
    found = prune(np.concatenate([p, p[:1]]), y, solver="em", weight=1.1, rise=1e-6)
    assert len(found.kept) == 2
    assert 1 in found.kept


def test_the_last_model_stays(drawn: Drawn) -> None:
    found = prune(*drawn(3, models=3), solver="em", weight=1.1, rise=99)
    assert len(found.kept) == 1
    assert found.solution.weights.max() == 1


def test_stacking_has_no_weights_to_drop_by(drawn: Drawn) -> None:
    with pytest.raises(UserError, match="expected a solver of weights"):
        prune(*drawn(0), solver="stacking")
