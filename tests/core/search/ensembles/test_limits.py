"""Subsets under limits, against looking at every subset."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import Any

import numpy as np
import pytest

from stillhouse.core.errors import LimitError, UserError
from stillhouse.core.search.ensembles import loss, solve
from stillhouse.core.search.ensembles.limits import Limits, chosen
from stillhouse.core.search.ensembles.reduction import reduced

Drawn = Callable[..., Any]
COSTS = (3.0, 2.0, 2.0, 1.0, 4.0)


def least(p: Any, y: Any, objective: str, count: int, cost: float) -> float:
    solver = "em" if objective == "log_loss" else "slsqp"
    return min(
        solve(p[list(own)], y, solver=solver, objective=objective).value
        for size in range(1, count + 1)
        for own in combinations(range(len(p)), size)
        if sum(COSTS[model] for model in own) <= cost
    )


@pytest.mark.parametrize("objective", ["log_loss", "brier"])
@pytest.mark.parametrize("seed", range(3))
def test_no_subset_within_the_limits_is_better(drawn: Drawn, objective: str, seed: int) -> None:
    p, y = drawn(seed, models=5, samples=150)
    solver = "em" if objective == "log_loss" else "slsqp"
    for count, cost in ((2, None), (None, 5.0), (3, 6.0)):
        found = solve(
            p,
            y,
            solver=solver,
            objective=objective,
            count_limit=count,
            costs=None if cost is None else COSTS,
            cost_limit=cost,
        )
        used = np.flatnonzero(found.weights)
        assert len(used) <= (count or 5)
        assert sum(COSTS[model] for model in used) <= (cost or 99)
        exact = least(p, y, objective, count or 5, cost or 99)
        assert found.value == pytest.approx(exact, abs=1e-8)


@pytest.mark.parametrize("solver", ["differential-evolution", "greedy", "stacking", "uniform"])
def test_every_solver_keeps_to_the_chosen_models(drawn: Drawn, solver: str) -> None:
    p, y = drawn(3, models=5)
    members = set(np.flatnonzero(solve(p, y, solver="em", count_limit=2).weights).tolist())
    found = solve(p, y, solver=solver, count_limit=2)
    assert set(np.flatnonzero(found.weights).tolist()) <= members


def test_the_best_single_model_is_the_best_affordable_one(drawn: Drawn) -> None:
    p, y = drawn(4, models=5)
    values = [loss(p, y, vertex) for vertex in np.eye(5)]
    found = solve(p, y, solver="best-single", costs=COSTS, cost_limit=2.0)
    assert found.weights.argmax() == min((1, 2, 3), key=lambda model: values[model])


def test_many_models_are_added_one_at_a_time(drawn: Drawn) -> None:
    p, y = drawn(5, models=14, samples=200)
    middle = reduced(p, y).middle
    pair, triple = chosen(middle, Limits(2)), chosen(middle, Limits(3))
    assert len(pair) == 2
    assert set(pair) < set(triple)
    values = [loss(p, y, vertex) for vertex in np.eye(14)]
    assert int(np.argmin(values)) in pair
    others = [solve(p[[*pair, m]], y, solver="em").value for m in range(14) if m not in pair]
    assert solve(p[list(triple)], y, solver="em").value == pytest.approx(min(others), abs=1e-9)


def test_an_objective_without_gradient_keeps_to_the_limits(drawn: Drawn) -> None:
    p, y = drawn(6, models=5)
    found = solve(p, y, objective="accuracy", count_limit=2)
    assert np.count_nonzero(found.weights) <= 2
    single = solve(p, y, solver="best-single", objective="accuracy")
    assert found.value <= single.value


@pytest.mark.parametrize(
    ("setting", "error", "message"),
    [
        ({"count_limit": 0}, LimitError, "nearest reachable: 1"),
        (
            {"costs": COSTS, "cost_limit": 0.5},
            LimitError,
            "got 0.5; nearest reachable: 1, model 3 alone",
        ),
        ({"costs": COSTS}, UserError, "costs and a cost limit together"),
        ({"cost_limit": 3.0}, UserError, "costs and a cost limit together"),
        ({"costs": (1.0, 2.0), "cost_limit": 3.0}, UserError, "expected 5 finite costs"),
        ({"costs": (1, 1, 1, 1, -1), "cost_limit": 3.0}, UserError, "of 0 or more"),
    ],
)
def test_impossible_limits_are_refused(
    drawn: Drawn, setting: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        solve(*drawn(0, models=5), **setting)
