"""`StudySearcher` keeps the contract of Tune's searchers, and its state is plain data."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ray.tune", reason="needs the extra ray")

from ray import tune
from ray.tune.search import Searcher

from stillhouse.core.errors import UserError
from stillhouse.core.search import known_costs
from stillhouse.core.sweep.searcher import StudySearcher

SPACE = {"rate": {"low": 1e-4, "high": 1e-1, "log": True}, "layers": {"choices": [2, 4, 6]}}


def made(**changes: Any) -> StudySearcher:
    return StudySearcher(SPACE, **{"maximize": ["accuracy"], "sampler": "random", **changes})


def told(searcher: StudySearcher, trials: int, first: int = 0) -> list[dict[str, Any]]:
    """Suggest and complete so many trials one after the other."""
    found = []
    for number in range(first, first + trials):
        config = searcher.suggest(f"t{number}")
        assert isinstance(config, dict)
        searcher.on_trial_complete(f"t{number}", {"accuracy": -abs(config["layers"] - 4)})
        found.append(config)
    return found


@pytest.mark.parametrize("sampler", ["random", "optuna-tpe", "surrogate"])
def test_any_sampler_proposes_and_learns(sampler: str) -> None:
    searcher = made(sampler=sampler, seed=3)
    found = told(searcher, 6)
    assert all(set(config) == {"rate", "layers"} for config in found)
    assert all(1e-4 <= config["rate"] <= 1e-1 for config in found)
    best = searcher.study.best()
    assert best is not None
    assert best.values[0] == max(-abs(config["layers"] - 4) for config in found)


def test_limits_hold_on_what_is_known_and_are_learnt_on_what_is_measured() -> None:
    costs = known_costs(lambda columns: {"size": columns["layers"]})
    searcher = made(costs=costs, limits=["size <= 4", "memory <= 10"], measures=["memory"])
    for number in range(5):
        config = searcher.suggest(str(number))
        assert config["layers"] <= 4
        memory = 20 if number else 5
        searcher.on_trial_complete(str(number), {"accuracy": float(number), "memory": memory})
    best = searcher.study.best()
    assert best is not None
    assert best.number == 0


def test_a_trial_without_a_result_has_failed() -> None:
    searcher = made()
    results: list[Any] = [None, {}, {"accuracy": float("nan")}, {"accuracy": "high"}]
    for number, result in enumerate(results):
        searcher.suggest(str(number))
        searcher.on_trial_complete(str(number), result)
    searcher.suggest("died")
    searcher.on_trial_complete("died", {"accuracy": 1.0}, error=True)
    assert [trial.failed for trial in searcher.study.trials] == [True] * 5


def test_the_first_or_the_last_result_counts() -> None:
    for when, expected in (("first", 0.1), ("last", 0.9)):
        searcher = made(when=when)
        searcher.suggest("a")
        searcher.on_trial_result("a", {"accuracy": 0.1})
        searcher.on_trial_complete("a", {"accuracy": 0.9})
        assert [trial.values for trial in searcher.study.trials] == [(expected,)]


def test_the_end_of_the_budget_is_the_end() -> None:
    searcher = made(budget=2, number="number")
    assert [config["number"] for config in told(searcher, 2)] == [0, 1]
    assert searcher.suggest("c") == Searcher.FINISHED


def test_what_was_saved_goes_on_as_if_nothing_had_happened(tmp_path: Path) -> None:
    whole, first = made(sampler="optuna-tpe"), made(sampler="optuna-tpe")
    undisturbed = told(whole, 8)
    told(first, 4)
    running = first.suggest("t4")
    first.save(str(tmp_path / "state"))
    again = made(sampler="optuna-tpe")
    again.restore(str(tmp_path / "state"))
    again.on_trial_complete("t4", {"accuracy": -abs(running["layers"] - 4)})
    assert told(again, 3, first=5) == undisturbed[5:]
    assert json.loads((tmp_path / "state").read_text())["format"] == 1


def test_a_pickled_searcher_holds_no_sampler() -> None:
    searcher = made(sampler="optuna-tpe")
    told(searcher, 3)
    state = pickle.dumps(searcher)
    assert b"optuna." not in state
    assert told(pickle.loads(state), 2, first=3) == told(searcher, 2, first=3)  # noqa: S301


def test_a_ledger_is_gone_on_from(tmp_path: Path) -> None:
    first = made(ledger=tmp_path / "study.jsonl", number="n")
    told(first, 2)
    first.suggest("running")
    first.close()
    again = made(ledger=tmp_path / "study.jsonl", number="n")
    assert [again.suggest(name)["n"] for name in "abc"] == [2, 3, 4]
    again.close()
    everything = made(ledger=tmp_path / "study.jsonl", number="n", again="all")
    assert [everything.suggest(name)["n"] for name in "abcdef"] == [0, 1, 2, 3, 4, 5]
    everything.on_trial_complete("a", {"accuracy": 5.0})
    assert len(everything.study.trials) == 2
    everything.close()


@pytest.mark.parametrize(
    ("content", "said"),
    [("{}", "expected format 1, got None"), ("[1]", "not the state of this searcher")],
)
def test_a_foreign_state_is_refused(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "state").write_text(content)
    with pytest.raises(UserError, match=said):
        made().restore(str(tmp_path / "state"))


def test_a_state_of_another_seed_is_refused(tmp_path: Path) -> None:
    first = made(seed=1)
    told(first, 1)
    first.save(str(tmp_path / "state"))
    with pytest.raises(UserError, match="the sampler proposes other candidates than it holds"):
        made(seed=2).restore(str(tmp_path / "state"))


def test_only_constants_go_beside_it() -> None:
    searcher = made()
    assert searcher.set_search_properties("accuracy", "max", {"data": "a.npz"})
    with pytest.raises(UserError, match="expected constants alone"):
        searcher.set_search_properties("accuracy", "max", {"rate": tune.uniform(0, 1)})


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"when": "best"}, "expected when: first or last"),
        ({"sampler": "tpe"}, "no sampler 'tpe'"),
        ({"maximize": []}, "expected at least one"),
        ({"limits": ["size <= 4"]}, "nothing is called 'size'"),
    ],
)
def test_a_word_that_is_none_is_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        made(**wrong)


def test_a_range_that_is_none_is_refused() -> None:
    with pytest.raises(UserError, match=r"rate: expected \{choices: .* got \{'from': 1\}"):
        StudySearcher({"rate": {"from": 1}}, maximize=["a"])
