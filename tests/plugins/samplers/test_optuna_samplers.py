from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stillhouse.core.errors import UserError
from stillhouse.core.search import Objective, Problem, Sampler, Study
from stillhouse.core.space import Choice, Integer, Real, Simplex, Space, Taps
from stillhouse.plugins.samplers.info import OptunaParams, TpeParams
from stillhouse.plugins.samplers.optuna_driver import OptunaSampler
from stillhouse.plugins.samplers.optuna_samplers import tpe, uniform
from stillhouse.plugins.samplers.suggestion import parameters, suggested

Build = Callable[..., Sampler]
MakeProblem = Callable[..., Problem]

MIXED = Space(
    [
        Choice("heads", (1, 2, 4), per="depth"),
        Choice("mixer", ("attention", "convolution"), per="depth"),
        Integer("kernel", 3, 9, step=2, per="depth", when=("mixer", ("convolution",))),
        Integer("depth", 0, 3),
        Integer("epochs", 1, 64, log=True),
        Real("temperature", 1.0, 8.0, log=True, when=("epochs", (1, 2, 3, 4, 5, 6, 7, 8))),
        Simplex("weights", 3),
        Taps("hints", count=3, total=5),
    ]
)


@settings(max_examples=50, deadline=1000)
@given(seed=st.integers(0, 2**31))
def test_parameters_lead_back_to_the_same_configuration(seed: int) -> None:
    row = MIXED.sample(1, np.random.default_rng(seed))[0]
    drawn = parameters(MIXED, row)
    trial = optuna.trial.FixedTrial(drawn)
    assert suggested(trial, MIXED) == pytest.approx(row, abs=1e-9)
    assert set(trial.params) == set(drawn)


def test_inactive_genes_are_not_suggested() -> None:
    configuration = {
        "depth": 2, "heads": [1, 4], "mixer": ["attention", "convolution"], "kernel": [None, 5],
        "epochs": 64, "weights": [0.5, 0.25, 0.25], "hints": [0, 2, 4],
    }  # fmt: skip
    drawn = parameters(MIXED, MIXED.encode(configuration))
    assert {name for name in drawn if name.startswith(("heads", "kernel", "temperature"))} == {
        "heads[0]",
        "heads[1]",
        "kernel[1]",
    }


def test_even_numbers_give_even_taps_and_weights() -> None:
    rng = np.random.default_rng(0)
    space = Space([Simplex("weights", 3), Taps("hints", count=1, total=4)])
    rows = []
    for _ in range(2000):
        drawn = {f"weights.{i}": rng.uniform(1e-6, 1) for i in range(3)}
        trial = optuna.trial.FixedTrial({**drawn, "hints.0": rng.random()})
        rows.append(suggested(trial, space))
    assert np.mean(rows, axis=0)[:3] == pytest.approx([1 / 3] * 3, abs=0.02)
    assert np.var(rows, axis=0)[:3] == pytest.approx([1 / 18] * 3, abs=0.006)
    assert np.bincount(np.array(rows)[:, 3].astype(int)).tolist() == pytest.approx(
        [500] * 4, abs=75
    )


def test_fallbacks_are_counted_when_proposals_break_the_limits(make_problem: MakeProblem) -> None:
    problem = make_problem(most=16 * (10 + 16))
    sampler = uniform(OptunaParams(tries=1), problem)
    assert isinstance(sampler, OptunaSampler)
    asked = len(sampler.ask(2))
    assert 0 < sampler.fallbacks <= asked


def test_no_fallback_is_needed_where_everything_is_feasible(make_problem: MakeProblem) -> None:
    problem = make_problem(most=1e9)
    sampler = tpe(TpeParams(), problem)
    study = Study(problem, sampler)
    for _ in range(12):
        codes = study.ask(1)
        study.tell(codes, codes[:, :1])
    assert sampler.fallbacks == 0


def test_tpe_learns_from_what_it_is_told(build: Build, make_problem: MakeProblem) -> None:
    means = []
    for sign in (1, -1):
        problem = make_problem(most=1e9)
        study = Study(problem, build("optuna-tpe", problem))
        for _ in range(26):
            codes = study.ask(1)
            width = problem.space.columns(codes)["width"]
            study.tell(codes, sign * width[:, None])
        late = np.array([trial.codes for trial in study.trials[14:]])
        means.append(problem.space.columns(late)["width"].mean())
    assert means[0] > means[1] + 8


def test_optunas_own_verbosity_is_left_as_it_was(make_problem: MakeProblem) -> None:
    before = optuna.logging.get_verbosity()
    uniform(OptunaParams(), make_problem()).ask(1)
    assert optuna.logging.get_verbosity() == before


def learned(name: str, build: Build, problem: Problem, rounds: int) -> list[float]:
    """Widths asked for, where only narrow networks meet a limit that evaluation tells."""
    problem = replace(problem, outcomes=("noise <= 1",))
    study = Study(problem, build(name, problem))
    for _ in range(rounds):
        codes = study.ask(1)
        width = problem.space.columns(codes)["width"]
        study.tell(codes, width[:, None], (width[:, None] - 24) / 24)
    return [float(problem.space.columns(t.codes[None])["width"][0]) for t in study.trials]


@pytest.mark.parametrize(
    ("name", "rounds", "share"), [("optuna-tpe", 30, 0.7), ("optuna-gp", 21, 0.8)]
)
def test_limits_on_measured_values_are_learned(
    name: str, rounds: int, share: float, build: Build, make_problem: MakeProblem
) -> None:
    widths = learned(name, build, make_problem(most=1e9), rounds)
    late = np.array(widths[16:])
    assert (late <= 24).mean() >= share


def test_cmaes_does_not_learn_from_what_breaks_a_measured_limit(
    build: Build, make_problem: MakeProblem
) -> None:
    problem = replace(make_problem(most=1e9), outcomes=("noise <= 1",))
    sampler = build("optuna-cmaes", problem)
    assert isinstance(sampler, OptunaSampler)
    codes = sampler.ask(3)
    over = np.array([[0.5], [-0.5], [np.nan]])
    sampler.tell(codes, np.ones((3, 1)), over)
    states = [trial.state.name for trial in sampler._study.trials]
    assert [state for state in states if state in ("COMPLETE", "RUNNING")] == ["COMPLETE"]


def test_cmaes_refuses_several_objectives_and_names_another(
    build: Build, make_problem: MakeProblem
) -> None:
    both = (Objective("accuracy", True), Objective("parameters", False))
    with pytest.raises(UserError, match=r"one objective, got 2 \(accuracy, parameters\); use opt"):
        build("optuna-cmaes", make_problem(objectives=both))


def test_cmaes_names_its_extra_where_the_package_is_missing(
    build: Build, make_problem: MakeProblem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cmaes", None)
    with pytest.raises(UserError, match=r'pip install "stillhouse\[optuna\]"'):
        build("optuna-cmaes", make_problem())


@pytest.mark.parametrize("name", ["optuna-gp", "optuna-cmaes"])
def test_models_over_flat_parameters_learn_from_what_they_are_told(
    name: str, build: Build, make_problem: MakeProblem
) -> None:
    means = []
    for sign in (1, -1):
        problem = make_problem(most=1e9)
        study = Study(problem, build(name, problem))
        for _ in range(22):
            codes = study.ask(1)
            columns = problem.space.columns(codes)
            study.tell(codes, sign * (columns["width"] + 10 * columns["depth"])[:, None])
        late = problem.space.columns(np.array([trial.codes for trial in study.trials[17:]]))
        means.append((late["width"] + 10 * late["depth"]).mean())
    assert means[0] > means[1] + 8


def test_a_sequence_covers_a_space_more_evenly_than_chance(
    build: Build, make_problem: MakeProblem
) -> None:
    space = Space([Integer("width", 0, 63), Integer("depth", 1, 64)])
    problem = make_problem(space=space, most=1e9)
    study = Study(problem, build("optuna-qmc", problem))
    codes = study.ask(1)
    study.tell(codes, codes[:, :1])
    codes = study.ask(64)
    cells = np.unique(codes // 8, axis=0)
    assert len(cells) >= 58


def test_what_takes_the_place_of_an_infeasible_proposal_is_the_nearest_feasible(
    make_problem: MakeProblem,
) -> None:
    space = Space([Integer("width", 0, 99), Choice("depth", (1,))])
    sampler = uniform(OptunaParams(tries=1), make_problem(space=space, most=49 * 26))
    left = set(range(50))
    for _ in range(30):
        asked = int(sampler.ask(1)[0, 0])
        proposed = sampler._study.trials[-1].params["width"]
        assert abs(asked - proposed) == min(abs(width - proposed) for width in left)
        left.remove(asked)
    assert 10 < sampler.fallbacks < 30


@pytest.mark.parametrize("multivariate", [True, False])
def test_tpe_models_genes_together_or_one_by_one(
    multivariate: bool, build: Build, make_problem: MakeProblem
) -> None:
    sampler = build("optuna-tpe", make_problem(), multivariate=multivariate)
    assert isinstance(sampler, OptunaSampler)
    assert sampler._study.sampler._multivariate is multivariate  # type: ignore[attr-defined]
