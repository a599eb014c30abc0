"""Which finalists are certified, and what a miss teaches."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from stillhouse.core.cost.limits import Limit
from stillhouse.core.measure import Latency
from stillhouse.core.run.certifying import LearntMargin, _next, broken
from stillhouse.core.run.ledger import Entry
from stillhouse.core.run.measuring import undecided

UPPER, LOWER = Limit("latency_ms", "<=", 1.0), Limit("latency_ms", ">=", 1.0)


def latency(low: float, ms: float, high: float) -> Latency:
    return Latency(ms, high, 10, "2026-01-02", ms, low, high)


def entry(latency_ms: float) -> Entry:
    return cast(Entry, SimpleNamespace(costs={"latency_ms": latency_ms}))


def finalist(predicted: float, high: float) -> Any:
    measured = SimpleNamespace(latency=latency(0.9, 0.95, high))
    return SimpleNamespace(entry=entry(predicted), measured=measured)


@pytest.mark.parametrize(
    ("limit", "found", "certain"),
    [
        (UPPER, latency(0.8, 0.9, 1.0), True),
        (UPPER, latency(0.9, 0.99, 1.01), False),
        (LOWER, latency(1.0, 1.1, 1.2), True),
        (LOWER, latency(0.99, 1.1, 1.2), False),
    ],
)
def test_the_whole_interval_has_to_meet_a_limit(
    limit: Limit, found: Latency, certain: bool
) -> None:
    known = {"latency_ms": found.latency_ms}
    assert (broken([limit], known, {"latency_ms": found}) is None) is certain


def test_other_costs_are_held_to_their_values() -> None:
    size = Limit("size_kb", "<=", 10.0)
    found = {"latency_ms": latency(0.1, 0.2, 0.3)}
    assert broken([UPPER, size], {"latency_ms": 0.2, "size_kb": 10.0}, found) is None
    assert broken([UPPER, size], {"latency_ms": 0.2, "size_kb": 10.1}, found) == size


@pytest.mark.parametrize(
    ("found", "open_"),
    [
        (latency(0.9, 0.95, 0.99), False),
        (latency(0.9, 0.95, 1.01), True),
        (latency(1.01, 1.02, 1.03), False),
    ],
)
def test_a_limit_inside_the_interval_is_undecided(found: Latency, open_: bool) -> None:
    assert undecided([UPPER], found) is open_
    assert undecided([Limit("size_kb", "<=", 0.95)], found) is False


def test_a_miss_rules_out_candidates_that_are_predicted_as_near() -> None:
    margin = LearntMargin()
    assert margin.allows(entry(0.99), [UPPER])
    margin.learn(finalist(predicted=0.98, high=1.029), missed=True)
    assert not margin.allows(entry(0.96), [UPPER])
    assert margin.allows(entry(0.95), [UPPER])
    assert margin.allows(entry(0.96), [LOWER])


def test_what_the_margin_speaks_against_comes_last_and_is_told() -> None:
    margin, order = LearntMargin(), [entry(ms) for ms in (0.99, 0.9, 0.97)]
    margin.learn(finalist(predicted=0.98, high=1.029), missed=True)
    group, rest = _next(order, margin, [UPPER], 1)
    assert group == [order[1]]
    assert rest == [order[0], order[2]]
    (note,) = margin.notes()
    assert note.startswith("1 candidates were passed over: finalists were measured up to 5.0%")
    assert _next(rest, margin, [UPPER], 5) == (rest, [])


def test_nothing_is_learnt_before_the_first_miss() -> None:
    margin = LearntMargin()
    margin.learn(finalist(predicted=0.9, high=0.99), missed=False)
    assert margin.share == 0
    assert margin.allows(entry(0.999), [UPPER])


def test_every_finalist_counts_from_the_first_miss_on() -> None:
    margin = LearntMargin()
    margin.learn(finalist(predicted=1.0, high=1.01), missed=False)
    margin.learn(finalist(predicted=1.0, high=1.05), missed=True)
    margin.learn(finalist(predicted=1.0, high=1.00), missed=False)
    assert margin.share == pytest.approx(0.02)
    assert margin.notes() == ()
