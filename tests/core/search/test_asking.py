"""A study for any evaluator: names, limits and results checked, and nothing lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stillhouse.core.errors import LimitError, UserError
from stillhouse.core.search import AskTell, Codes, known_costs, open_study
from stillhouse.core.search.sampler import Problem, Sampler
from stillhouse.core.space import Choice, Columns, Integer, Real, Space

SPACE = Space(
    [
        Integer("width", 1, 20),
        Choice("kernel", ("plain", "separable", "none")),
        Integer("depth", 1, 3),
        Choice("heads", (1, 2, 4), per="depth"),
        Real("rate", 1e-4, 1e-1, log=True, when=("kernel", ("plain",))),
    ]
)


def costs(columns: Columns) -> Mapping[str, Any]:
    size = columns["width"] * np.nansum(columns["heads"], axis=1)
    return {"size_kb": size, "latency_ms": size / 100 + columns["depth"]}


def quality(codes: Codes) -> np.ndarray[Any, Any]:
    """One in seven fails."""
    columns = SPACE.columns(codes)
    found = np.tanh(columns["width"] / 9) + 0.1 * columns["depth"]
    found[columns["width"] % 7 == 0] = np.nan
    return found


def opened(ledger: Path | None = None, **changes: Any) -> AskTell:
    settings: dict[str, Any] = {
        "maximize": ["accuracy"],
        "costs": known_costs(costs),
        "limits": ["latency_ms <= 3.2", "5 <= size_kb <= 60"],
        "sampler": "evolution",
        "params": {"initial": 6},
        "seed": 3,
        "budget": 24,
        "ledger": ledger,
    }
    return open_study(SPACE, **{**settings, **changes})


def run(study: AskTell, batch: int = 4, rounds: int = 100) -> AskTell:
    while rounds and len(codes := study.ask(batch)):
        study.tell(codes, quality(codes))
        rounds -= 1
    return study


def told(study: AskTell) -> list[tuple[str, tuple[float, ...]]]:
    return [(t.key, tuple(np.nan_to_num(t.values, nan=-1))) for t in study.trials]


def test_every_candidate_meets_the_known_limits_until_the_budget_is_spent() -> None:
    study = run(opened())
    assert len(study.trials) == 24
    assert len(study.ask(1)) == 0
    for trial in study.trials:
        assert trial.costs["latency_ms"] <= 3.2
        assert 5 <= trial.costs["size_kb"] <= 60
    best = study.best()
    assert best is not None
    assert best.values[0] == max(t.values[0] for t in study.trials if not t.failed)
    assert any(t.failed for t in study.trials)


def test_what_is_out_counts_as_spent() -> None:
    study = opened(budget=5)
    first = study.ask(4)
    assert len(study.ask(4)) == 1
    assert len(study.ask(4)) == 0
    study.tell(first, quality(first))
    assert len(study.ask(4)) == 0


def test_costs_of_codes_are_the_same_costs() -> None:
    study = opened(costs=known_costs(lambda codes: costs(SPACE.columns(codes)), of="codes"))
    assert told(run(study)) == told(run(opened()))


def test_a_sampler_may_be_a_function(tmp_path: Path) -> None:
    class First(Sampler):
        """The known feasible candidates in turn."""

        def __init__(self, problem: Problem) -> None:
            self.left = problem.feasible

        def ask(self, count: int) -> Codes:
            out, self.left = self.left[:count], self.left[count:]
            return out

        def tell(self, codes: Codes, values: Any, excess: Any = None) -> None:
            pass

    study = opened(tmp_path / "s.jsonl", sampler=First, params=None)
    assert len(run(study).trials) > 0
    study.close()


def test_impossible_limits_are_refused_before_anything_else(tmp_path: Path) -> None:
    with pytest.raises(LimitError, match=r"'latency_ms <= 0.5': the nearest reachable value is 1"):
        opened(tmp_path / "study.jsonl", limits=["latency_ms <= 0.5"])
    assert not (tmp_path / "study.jsonl").exists()


@pytest.mark.parametrize(
    ("changes", "fact"),
    [
        (
            {"limits": ["latncy_ms <= 2"]},
            "nothing is called 'latncy_ms'; did you mean 'latency_ms'",
        ),
        ({"limits": ["latency_ms <= 20%"]}, "latency_ms <= 20%: there is no teacher"),
        ({"limits": ["<= 2"]}, "nothing is called ''"),
        ({"limits": ["latency_ms < 2"]}, "expected a limit such as"),
        ({"maximize": []}, "expected at least one, each once; got none"),
        ({"minimize": ["accuracy"]}, "each once; got accuracy, accuracy"),
        ({"sampler": "evoluton"}, "no sampler 'evoluton'; did you mean 'evolution'"),
        ({"params": {"intial": 1}}, "'evolution' has no parameter 'intial'; did you mean"),
        ({"params": {"initial": 0}}, "initial: expected 1 to 10000, got 0"),
        ({"sampler": len}, "brings its own parameters"),
        ({"costs": known_costs(lambda _: [1])}, "expected costs by name, got list"),
        ({"costs": known_costs(lambda _: {"a": 1.0})}, r"a: .*shape \(3,\), got shape \(\)"),
        ({"costs": known_costs(lambda c: {"a": c["kernel"]})}, "a: expected numbers"),
    ],
)
def test_what_cannot_be_opened_is_told_in_full(changes: dict[str, Any], fact: str) -> None:
    with pytest.raises(UserError, match=fact):
        opened(**changes)


def test_several_values_are_told_by_name_and_known_costs_are_not_told() -> None:
    study = opened(
        minimize=["size_kb", "drift"], limits=["accuracy >= 0.5", "noise <= 0", "size_kb <= 60"],
        measures=["noise"], budget=8,
    )  # fmt: skip
    codes = study.ask(3)
    measured = {"accuracy": [0.6, 0.2, 0.4], "drift": [1, 2, None], "noise": [-1, 0.5, 0]}
    study.tell(codes, measured)
    first, second, third = study.trials
    assert study.problem.outcomes == ["accuracy >= 0.5", "noise <= 0"]
    assert first.values == (0.6, first.costs["size_kb"], 1.0)
    assert first.excess == pytest.approx((-0.2, -1.0))
    assert second.excess == pytest.approx((0.6, 0.5))
    assert third.failed
    assert study.front() == [first]
    assert study.best() is first


@pytest.mark.parametrize(
    ("values", "fact"),
    [
        (
            [[0.5, 0.5]],
            r"expected values by name; tell\(codes, {\"accuracy\": ..., \"noise\": ...}",
        ),
        ({"accuracy": [0.5]}, "no values of noise"),
        ({"accuracy": [0.5], "noise": [0], "nois": [0]}, "nothing wants 'nois'; did you mean"),
        ({"accuracy": [0.5, 0.6], "noise": [0]}, r"accuracy: expected shape \(1,\), got \(2,\)"),
        ({"accuracy": ["good"], "noise": [0]}, "accuracy: expected numbers"),
    ],
)
def test_results_that_do_not_fit_are_refused_and_may_be_told_again(values: Any, fact: str) -> None:
    study = opened(limits=["noise <= 1"], measures=["noise"])
    codes = study.ask(1)
    with pytest.raises(UserError, match=fact):
        study.tell(codes, values)
    study.tell(codes, {"accuracy": [0.5], "noise": [0]})
    assert len(study.trials) == 1


def test_an_array_has_a_column_for_each_measured_objective() -> None:
    study = opened(maximize=["a", "b"], minimize=["size_kb"])
    codes = study.ask(2)
    with pytest.raises(UserError, match=r"expected values of shape \(2, 2\), got \(2, 3\)"):
        study.tell(codes, np.zeros((2, 3)))
    study.tell(codes, np.array([[1, 2], [3, 4]]))
    assert [trial.values[:2] for trial in study.trials] == [(1, 2), (3, 4)]


@pytest.mark.parametrize("rounds", [0, 1, 2, 5])
def test_a_study_goes_on_from_its_ledger_as_if_undisturbed(tmp_path: Path, rounds: int) -> None:
    whole = run(opened(tmp_path / "whole.jsonl"))
    whole.close()
    study = run(opened(tmp_path / "cut.jsonl"), rounds=rounds)
    lost = study.ask(4)
    study.close()
    with opened(tmp_path / "cut.jsonl") as again:
        assert len(again.trials) == 4 * rounds
        assert np.array_equal(again.ask(4), lost)
        again.tell(lost, quality(lost))
        assert told(run(again)) == told(whole)
    assert (tmp_path / "cut.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()


def test_what_was_asked_and_not_told_is_asked_again_in_its_order(tmp_path: Path) -> None:
    with opened(tmp_path / "s.jsonl") as study:
        codes = study.ask(5)
        study.tell(codes[1:3], quality(codes[1:3]))
    left = codes[[0, 3, 4]]
    with opened(tmp_path / "s.jsonl") as study:
        assert np.array_equal(study.ask(2), left[:2])
        assert np.array_equal(study.ask(9), left[2:])
        assert len(study.ask(24)) == 24 - 5


def test_foreign_candidates_are_replayed_too(tmp_path: Path) -> None:
    rows = SPACE.unique(SPACE.sample(3, np.random.default_rng(0)))
    with opened(tmp_path / "s.jsonl") as study:
        study.tell(rows, quality(rows))
        expected = told(run(study))
    with opened(tmp_path / "s.jsonl") as study:
        assert told(study) == expected


def test_a_ledger_belongs_to_what_the_study_is_made_of(tmp_path: Path) -> None:
    opened(tmp_path / "s.jsonl").close()
    changes: Sequence[tuple[dict[str, Any], str]] = [
        ({"seed": 4}, "seed 4, got 3"),
        ({"budget": 25}, "budget 25, got 24"),
        ({"limits": ["size_kb <= 60"]}, "limits"),
        ({"params": {}}, "params"),
        ({"costs": known_costs(lambda c: {**costs(c), "size_kb": c["width"] + 4.0})}, "costs"),
    ]
    for changed, fact in changes:
        with pytest.raises(UserError, match=f"another study: expected {fact}"):
            opened(tmp_path / "s.jsonl", **changed)


def test_a_sampler_that_answers_otherwise_than_the_ledger_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "s.jsonl"
    with opened(path) as study:
        study.ask(2)
    lines = path.read_text().splitlines()
    path.write_text(f'{lines[0]}\n{{"ask": 2, "codes": []}}\n')
    with pytest.raises(UserError, match="the sampler proposes other candidates than it holds"):
        opened(path)


def test_one_ledger_has_one_study_at_a_time(tmp_path: Path) -> None:
    with opened(tmp_path / "s.jsonl"), pytest.raises(UserError, match="is open already"):
        opened(tmp_path / "s.jsonl")


KILLED = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
import test_asking as page
study = page.opened(page.Path(sys.argv[2]))
page.run(study, rounds=3)
study.ask(4)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_process_killed_outright_loses_nothing_it_was_told(tmp_path: Path) -> None:
    path = tmp_path / "s.jsonl"
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(Path(__file__).parent), str(path)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == -signal.SIGKILL
    with opened(path) as study:
        assert len(study.trials) == 12
        assert told(run(study)) == told(run(opened()))
