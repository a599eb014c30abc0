"""Which trials are finished: the best within the limits, or of several objectives the front."""

from __future__ import annotations

from typing import Any

from stillhouse.core.cost.limits import Limit
from stillhouse.core.run.goals import Goals
from stillhouse.core.run.ledger import Entry
from stillhouse.core.search.sampler import Objective
from stillhouse.core.sweep.finishing import candidates
from stillhouse.core.sweep.outcomes import WORST, Outcome, score

UP, SMALL = Objective("accuracy", True), Objective("size_kb", False)


def entry(key: str, accuracy: float | None, size_kb: float, rung: float | None = None) -> Entry:
    values = {} if accuracy is None else {"accuracy": accuracy}
    return Entry(int(key), key, {"rate": 0.1}, {"size_kb": size_kb}, values, 1.0, "", rung)


def keys(found: list[Entry]) -> list[tuple[str, float | None]]:
    return [(one.key, one.fidelity) for one in found]


def test_the_best_within_the_limits_come_first() -> None:
    trials = [entry("0", 0.7, 10), entry("1", None, 0), entry("2", 0.9, 99), entry("3", 0.8, 20)]
    goals = Goals((UP,), (Limit("size_kb", "<=", 50),))
    assert keys(candidates(trials, goals)) == [("3", None), ("0", None)]


def test_a_trial_stands_at_its_highest_rung_and_higher_ones_go_first() -> None:
    trials = [entry("0", 0.9, 1, 2.0), entry("1", 0.8, 1, 2.0), entry("1", 0.85, 1, 6.0)]
    assert keys(candidates(trials, Goals((UP,)))) == [("1", 6.0), ("0", 2.0)]


def test_of_several_objectives_only_the_front_is_finished() -> None:
    trials = [entry("0", 0.7, 10), entry("1", 0.6, 20), entry("2", 0.9, 99), entry("3", 0.8, 20)]
    found = candidates(trials, Goals((UP, SMALL)))
    assert found[0].key == "2"
    assert sorted(one.key for one in found) == ["0", "2", "3"]


def outcome(error: str = "", **measured: float) -> Outcome:
    return Outcome(0, 0, {}, measured=measured, error=error)


def test_a_scheduler_sees_the_first_objective_higher_better() -> None:
    up, down = Goals((UP, SMALL)), Goals((SMALL, UP))
    assert score(outcome(accuracy=0.8, size_kb=9.0), up) == 0.8
    assert score(outcome(accuracy=0.8, size_kb=9.0), down) == -9.0


def test_what_breaks_a_limit_stands_below_all_and_failures_last() -> None:
    goals = Goals((UP,), (Limit("size_kb", "<=", 50),))
    found: list[Any] = [
        score(outcome(accuracy=0.1, size_kb=50.0), goals),
        score(outcome(accuracy=0.9, size_kb=60.0), goals),
        score(outcome(accuracy=0.9, size_kb=90.0), goals),
        score(outcome("diverged"), goals),
    ]
    assert found == sorted(found, reverse=True)
    assert len(set(found)) == 4
    assert found[-1] == WORST
