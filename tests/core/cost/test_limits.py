from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.core.cost.limits import Limit, column, excesses, resolve, violation
from stillhouse.core.errors import UserError


def test_a_cost_on_the_bound_meets_the_limit_in_both_directions() -> None:
    table = {"macs": np.array([9.0, 10.0, 12.0])}
    assert violation(table, [Limit("macs", "<=", 10)]).tolist() == [0, 0, 0.2]
    assert violation(table, [Limit("macs", ">=", 10)]).tolist() == [0.1, 0, 0]


def test_excesses_over_several_limits_add_up() -> None:
    table = {"macs": np.array([20.0]), "latency_ms": np.array([3.0])}
    limits = [Limit("macs", "<=", 10), Limit("latency_ms", "<=", 2)]
    assert excesses(table, limits).tolist() == [[1.0], [0.5]]
    assert violation(table, limits).tolist() == [1.5]


@pytest.mark.parametrize("relation", ["<=", ">="])
def test_a_cost_that_is_not_finite_is_infinitely_violated(relation: str) -> None:
    table = {"latency_ms": np.array([np.nan, np.inf, -np.inf, 1.0])}
    over = violation(table, [Limit("latency_ms", relation, 1.0)])
    assert over.tolist() == [np.inf, np.inf, np.inf, 0.0]


def test_a_bound_of_zero_counts_the_excess_itself() -> None:
    assert violation({"macs": np.array([0.0, 3.0])}, [Limit("macs", "<=", 0)]).tolist() == [0, 3]


def test_without_limits_nothing_is_violated() -> None:
    assert violation({"macs": np.array([1.0, np.nan])}, []).tolist() == [0, 0]


@given(
    cost=st.floats(-1e12, 1e12),
    bound=st.floats(-1e12, 1e12),
    relation=st.sampled_from(["<=", ">="]),
)
def test_the_excess_is_zero_exactly_when_the_comparison_holds(
    cost: float, bound: float, relation: str
) -> None:
    holds = cost <= bound if relation == "<=" else cost >= bound
    over = Limit("macs", relation, bound).excess(np.array([cost]))[0]
    assert (over == 0) == holds


def test_a_percentage_is_of_the_teachers_cost() -> None:
    assert resolve("size_kb", "<=", 10, True, {"size_kb": 400.0}) == Limit("size_kb", "<=", 40.0)


def test_sizes_follow_from_each_other() -> None:
    assert resolve("size_mb", "<=", 50, True, {"size_bytes": 4e6}) == Limit("size_mb", "<=", 2.0)
    assert column({"size_kb": np.array([2500.0])}, "size_mb").tolist() == [2.5]
    assert violation({"size_bytes": np.array([2e6])}, [Limit("size_kb", "<=", 1000)]) == [1.0]


def test_an_unknown_cost_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(UserError, match="did you mean 'latency_ms'"):
        resolve("latency", "<=", 3, False, {})


def test_a_percentage_of_an_unknown_cost_is_refused() -> None:
    with pytest.raises(UserError, match=r"needs the teacher's latency_ms.*known: macs"):
        resolve("latency_ms", "<=", 10, True, {"macs": 5.0})


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_bound_that_is_not_finite_is_refused(value: float) -> None:
    with pytest.raises(UserError, match="expected a finite bound"):
        resolve("macs", "<=", value, False, {})


def test_a_limit_on_a_cost_nobody_computes_is_refused() -> None:
    with pytest.raises(UserError, match=r"nothing computes 'latency_ms'.*known costs: macs"):
        violation({"macs": np.array([1.0])}, [Limit("latency_ms", "<=", 1)])


def test_a_metric_is_resolved_where_its_name_is_allowed() -> None:
    found = resolve("accuracy", ">=", 97, True, {"accuracy": 0.9}, ["accuracy"])
    assert found == Limit("accuracy", ">=", 97 / 100 * 0.9)


@given(
    value=st.floats(-1e12, 1e12),
    bound=st.floats(-1e12, 1e12),
    relation=st.sampled_from(["<=", ">="]),
)
def test_the_signed_excess_is_the_excess_with_the_room_left_below_zero(
    value: float, bound: float, relation: str
) -> None:
    limit = Limit("accuracy", relation, bound)
    signed = limit.signed_excess(np.array([value]))[0]
    assert max(signed, 0.0) == limit.excess(np.array([value]))[0]


def test_the_signed_excess_of_what_is_not_finite_is_unknown() -> None:
    signed = Limit("accuracy", ">=", 0.5).signed_excess(np.array([np.nan, np.inf, 0.75]))
    assert np.isnan(signed[:2]).all()
    assert signed[2] == -0.5


def test_a_margin_makes_predicted_costs_count_as_worse() -> None:
    values = np.array([8.0, 10.0, 12.0])
    assert Limit("macs", "<=", 9.0, margin=0.125).excess(values).tolist() == [0, 0.25, 0.5]
    assert Limit("macs", ">=", 10.5, margin=0.125).excess(values)[2] == 0
    assert Limit("macs", ">=", 10.5, margin=0.125).excess(values)[1] > 0
