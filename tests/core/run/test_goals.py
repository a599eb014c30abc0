"""Objectives that are costs, limits on metrics, rungs: who stands before whom."""

from __future__ import annotations

from pathlib import Path

import pytest

from stillhouse.core.config.runfile import load
from stillhouse.core.cost.limits import Limit
from stillhouse.core.errors import LimitError
from stillhouse.core.plugin import Catalogue
from stillhouse.core.run.goals import Goals, front_of, goals_of, latest, ranked, varied
from stillhouse.core.run.ledger import Entry
from stillhouse.core.search import Objective

pytestmark = pytest.mark.slow

ACCURATE, FAST = Objective("accuracy", True), Objective("latency_ms", False)
ENOUGH = Limit("accuracy", ">=", 0.9)


def entry(
    number: int, accuracy: float | None, latency_ms: float = 1.0, *, key: str = "",
    fidelity: float | None = None,
) -> Entry:  # fmt: skip
    values = {} if accuracy is None else {"accuracy": accuracy}
    costs = {"latency_ms": latency_ms}
    return Entry(number, key or f"k{number}", {}, costs, values, 0.1, "", fidelity)


def numbers(entries: list[Entry]) -> list[int]:
    return [one.number for one in entries]


def test_a_known_cost_may_be_the_objective() -> None:
    entries = [entry(0, 0.5, 3.0), entry(1, 0.6, 1.0), entry(2, 0.9, 2.0)]
    assert numbers(ranked(entries, Goals((FAST,)), [])) == [1, 2, 0]


def test_whoever_meets_the_limits_stands_before_whoever_is_faster() -> None:
    entries = [entry(0, 0.89, 1.0), entry(1, 0.9, 5.0), entry(2, 0.5, 0.1), entry(3, 0.95, 6.0)]
    assert numbers(ranked(entries, Goals((FAST,), (ENOUGH,)), [])) == [1, 3, 0, 2]


def test_a_higher_rung_stands_before_a_better_value_of_a_lower_one() -> None:
    entries = [
        entry(0, 0.95, key="a", fidelity=0.0), entry(1, 0.99, key="b", fidelity=0.0),
        entry(2, 0.91, key="a", fidelity=1.0),
    ]  # fmt: skip
    assert numbers(ranked(entries, Goals((ACCURATE,)), [])) == [2, 1]


def test_a_rung_does_not_make_up_for_a_broken_limit() -> None:
    entries = [entry(0, 0.95, key="a", fidelity=0.0), entry(1, 0.8, key="b", fidelity=1.0)]
    assert numbers(ranked(entries, Goals((ACCURATE,), (ENOUGH,)), [])) == [0, 1]


def test_a_candidate_that_failed_on_its_last_rung_is_out() -> None:
    entries = [entry(0, 0.9, key="a", fidelity=0.0), entry(1, None, key="a", fidelity=1.0)]
    assert numbers(latest(entries)) == [1]
    assert ranked(entries, Goals((ACCURATE,)), []) == []


def test_equal_candidates_are_told_apart_by_cost_and_then_by_key() -> None:
    entries = [entry(0, 0.9, 2.0), entry(1, 0.9, 1.0, key="z"), entry(2, 0.9, 1.0, key="y")]
    assert numbers(ranked(entries, Goals((ACCURATE,)), ["latency_ms"])) == [2, 1, 0]


def test_the_front_leaves_out_what_breaks_a_limit_or_stands_on_a_lower_rung() -> None:
    entries = [
        entry(0, 0.99, 1.0, fidelity=0.0), entry(1, 0.80, 0.1, fidelity=1.0),
        entry(2, 0.95, 3.0, fidelity=1.0), entry(3, 0.92, 2.0, fidelity=1.0),
        entry(4, 0.91, 2.5, fidelity=1.0), entry(5, None, 0.1, fidelity=1.0),
    ]  # fmt: skip
    goals = Goals((ACCURATE,), (ENOUGH,))
    front = front_of(entries, goals, ["latency_ms"])
    assert front == [False, False, True, True, False, False]


def test_a_cost_that_is_an_objective_counts_once() -> None:
    entries = [entry(0, 0.5, 1.0), entry(1, 0.6, 1.0), entry(2, 0.4, 0.5)]
    assert front_of(entries, Goals((ACCURATE, FAST)), ["latency_ms"]) == [False, True, True]


def test_no_evaluation_no_front() -> None:
    assert front_of([], Goals((ACCURATE,)), ["latency_ms"]) == []


def test_percentages_that_leave_nothing_are_refused(catalogue: Catalogue, project: Path) -> None:
    limits = ["accuracy >= 98%", "accuracy <= 0.5"]
    search = load(project / "run.yaml", catalogue, limits=limits).search
    assert goals_of(search, {"accuracy": 0.5}).names == ("accuracy >= 0.49", "accuracy <= 0.5")
    with pytest.raises(LimitError, match=r"nothing is both accuracy >= 0\.882 and accuracy <= 0"):
        goals_of(search, {"accuracy": 0.9})


@pytest.mark.parametrize(("accuracy", "excess"), [(0.9, 0.0), (0.99, -0.1), (0.45, 0.5)])
def test_the_excess_is_relative_to_the_bound_and_negative_where_there_is_room(
    accuracy: float, excess: float
) -> None:
    goals = Goals((FAST,), (ENOUGH,))
    assert goals.excess({"accuracy": accuracy}) == [pytest.approx(excess)]
    assert goals.violation({"accuracy": accuracy}) == pytest.approx(max(excess, 0.0))


def test_finalists_of_several_objectives_spread_over_the_front_the_best_first() -> None:
    front = [entry(i, 0.9 - 0.01 * i, 10.0 - i) for i in range(5)]
    inside = entry(5, 0.85, 9.9)
    goals = Goals((ACCURATE, FAST))
    order = ranked([*front, inside], goals, [])
    assert numbers(varied(order, goals)) == [0, 4, 2, 1, 3, 5]


def test_with_one_objective_finalists_stay_in_their_order() -> None:
    order = ranked([entry(i, 0.5 + 0.1 * i) for i in range(4)], Goals((ACCURATE,)), [])
    assert varied(order, Goals((ACCURATE,))) == order
