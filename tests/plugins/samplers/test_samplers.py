"""What holds for every sampler, whatever it does inside."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest

from stillhouse.core.search import Objective, Problem, Sampler, Study
from stillhouse.core.space import Choice, Integer, Real, Simplex, Space, Taps
from stillhouse.plugins.samplers.info import stillhouse_samplers

Build = Callable[..., Sampler]
MakeProblem = Callable[..., Problem]

# `exact` refuses what must be measured: its own tests hold it to the contract.
RECORDS = [record for record in stillhouse_samplers() if record.name != "exact"]
NAMES = [record.name for record in RECORDS]
SEVERAL = [record.name for record in RECORDS if record.objectives == "several"]
BOTH = (Objective("accuracy", maximize=True), Objective("parameters", maximize=False))
every_sampler = pytest.mark.parametrize("name", NAMES)


def search(study: Study, rounds: int, batch: int = 3, failures: bool = False) -> list[str]:
    """Keys in the order they were asked; quality is a plateaued function of the codes."""
    keys: list[str] = []
    for turn in range(rounds):
        codes = study.ask(batch)
        table = study.problem.costs.table(codes)
        accuracy = np.round(codes.clip(0).sum(axis=1) / 10, 1)
        columns = [table.get(objective.name, accuracy) for objective in study.problem.objectives]
        values = np.stack(columns, axis=1)
        if failures and turn % 2:
            values[:1] = np.nan
        study.tell(codes, values)
        keys += study.problem.space.keys(codes)
    return keys


@pytest.mark.parametrize(
    ("name", "objectives"), [(r, BOTH[:1]) for r in NAMES] + [(r, BOTH) for r in SEVERAL]
)
def test_the_same_tells_lead_to_the_same_asks(
    name: str, objectives: tuple[Objective, ...], build: Build, make_problem: MakeProblem
) -> None:
    runs = []
    for _ in range(2):
        problem = make_problem(objectives=objectives, seed=5)
        runs.append(search(Study(problem, build(name, problem)), 6, failures=True))
    assert runs[0] == runs[1]
    assert len(runs[0]) == 18


@every_sampler
def test_another_seed_leads_elsewhere(name: str, build: Build, make_problem: MakeProblem) -> None:
    runs = []
    for seed in (1, 2):
        problem = make_problem(seed=seed)
        runs.append(search(Study(problem, build(name, problem)), 3))
    assert runs[0] != runs[1]


@every_sampler
def test_a_small_space_is_searched_to_its_end_and_then_asks_come_back_empty(
    name: str, build: Build, make_problem: MakeProblem
) -> None:
    space = Space([Choice("width", (16, 24, 32)), Choice("depth", (1, 2, 3))])
    problem = make_problem(space=space, most=1000)
    study = Study(problem, build(name, problem))
    asked = search(study, 6)
    everything = np.array(list(itertools.product(range(3), repeat=2)), dtype=float)
    feasible = everything[problem.costs.violation(everything) == 0]
    assert 3 < len(feasible) < 9
    assert sorted(asked) == sorted(space.keys(feasible))
    assert len(study.ask(1)) == 0


@every_sampler
def test_candidates_are_found_where_few_meet_the_limits(
    name: str, build: Build, make_problem: MakeProblem
) -> None:
    """13 heads over 12 layers: 13 of 16,777,216 configurations."""
    space = Space(
        [Choice("depth", (12,)), Choice("heads", (1, 2, 3, 4), per="depth"), Choice("width", (1,))]
    )
    problem = make_problem(space=space, most=10 + 16 * 13)
    params = {"tries": 5} if name.startswith("optuna") else {}
    study = Study(problem, build(name, problem, **params))
    assert len(search(study, 3)) == 9


@every_sampler
def test_one_that_finds_nothing_feasible_returns_nothing(
    name: str, build: Build, make_problem: MakeProblem
) -> None:
    problem = make_problem(most=1.0, seeds=False)
    params = {"tries": 5} if name.startswith("optuna") else {}
    assert len(build(name, problem, **params).ask(2)) == 0


@every_sampler
def test_foreign_results_are_taken_in_and_not_proposed_again(
    name: str, build: Build, make_problem: MakeProblem
) -> None:
    problem = make_problem()
    study = Study(problem, build(name, problem))
    known = problem.space.sample(200, np.random.default_rng(3))
    known = problem.space.unique(known[problem.costs.violation(known) == 0])[:12]
    study.tell(known, np.linspace(0, 1, 12)[:, None])
    assert not set(search(study, 3)) & set(problem.space.keys(known))


@every_sampler
def test_every_kind_of_dimension_can_be_searched(
    name: str, build: Build, make_problem: MakeProblem
) -> None:
    space = Space(
        [
            Choice("width", (16, 24, 32)),
            Integer("depth", 1, 3),
            Choice("mixer", ("attention", "convolution"), per="depth"),
            Integer("kernel", 3, 9, step=2, per="depth", when=("mixer", ("convolution",))),
            Integer("epochs", 1, 100, log=True),
            Real("temperature", 1, 8, log=True),
            Simplex("weights", 3),
            Taps("hints", count=2, total=6),
        ]
    )
    problem = make_problem(space=space, most=1500)
    assert len(search(Study(problem, build(name, problem)), 6)) == 18


@every_sampler
def test_weights_alone_can_be_searched_and_stay_on_the_simplex(
    name: str, build: Build, make_problem: MakeProblem
) -> None:
    space = Space([Choice("width", (16,)), Choice("depth", (1,)), Simplex("weights", 4)])
    study = Study(problem := make_problem(space=space), build(name, problem))
    wanted, asked = np.array([0.6, 0.3, 0.1, 0.0]), []
    for _ in range(4):
        codes = study.ask(5)
        weights = space.columns(codes)["weights"]
        study.tell(codes, -np.abs(weights - wanted).sum(axis=1, keepdims=True))
        asked.append(weights)
    found = np.concatenate(asked)
    assert found.shape == (20, 4)
    assert len(np.unique(found.round(9), axis=0)) == 20
    assert found.min() >= 0
    assert np.abs(found.sum(axis=1) - 1).max() < 1e-9


SCRIPT = """
import importlib, sys
import numpy as np
from stillhouse.core.search import Costs, Objective, Problem
from stillhouse.core.space import Choice, Space
from stillhouse.plugins.samplers.info import stillhouse_samplers

space = Space([
    Choice("depth", (1, 2, 3)), Choice("heads", (1, 2, 4), per="depth"),
    Choice("form", ("dense", "low-rank")), Choice("rank", (4, 8), when=("form", ("low-rank",))),
])

class Heads(Costs):
    def table(self, codes):
        return {"heads": np.nansum(space.columns(codes)["heads"], axis=1)}
    def violation(self, codes):
        return np.maximum(self.table(codes)["heads"] / 9 - 1, 0)

problem = Problem(space, Heads(), (Objective("accuracy", True),), 3, space.corners()[:1])
for record in stillhouse_samplers():
    if record.name == "exact":
        continue
    module, attribute = record.build.split(":")
    quick = {"startup": 14} if record.name == "optuna-gp" else {}
    sampler = getattr(importlib.import_module(module), attribute)(record.params(**quick), problem)
    for _ in range(8):
        codes = sampler.ask(2)
        sampler.tell(codes, codes.clip(0).sum(axis=1)[:, None])
        print(record.name, *space.keys(codes))
"""


@pytest.mark.slow
def test_asks_do_not_depend_on_the_process(capsys: pytest.CaptureFixture[str]) -> None:
    other = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={**os.environ, "PYTHONHASHSEED": other, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        check=True,
        text=True,
        timeout=100,
    )
    assert done.stdout.count("\n") == 8 * len(NAMES)
    exec(SCRIPT, {"__name__": "here"})  # noqa: S102 - the same script, in this process
    assert capsys.readouterr().out == done.stdout
