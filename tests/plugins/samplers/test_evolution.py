from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest

from stillhouse.core.search import (
    Objective,
    Problem,
    Sampler,
    Study,
    best_few,
    hypervolume,
    on_front,
)
from stillhouse.core.space import Choice, Space
from stillhouse.plugins.samplers.design import use_of_limits

Build = Callable[..., Sampler]
MakeProblem = Callable[..., Problem]

DEEP = Space([Choice("width", (16, 24, 32)), Choice("depth", (8,)),
              Choice("heads", (1, 2, 3, 4, 6), per="depth")])  # fmt: skip
TARGET = np.array([6, 1, 4, 2, 3, 1, 2, 1])


def accuracy(codes: np.ndarray) -> np.ndarray:
    """Falls with the distance of each layer's heads from a target; in steps, as on a split."""
    away = np.abs(DEEP.columns(codes)["heads"] - TARGET).sum(axis=1)
    return np.round(0.98 - 0.02 * away, 2)


def searched(problem: Problem, sampler: Sampler, count: int, batch: int = 4) -> Study:
    study = Study(problem, sampler)
    for _ in range(count // batch):
        codes = study.ask(batch)
        table = {**problem.costs.table(codes), "accuracy": accuracy(codes)}
        values = [table[objective.name] for objective in problem.objectives]
        study.tell(codes, np.stack(values, axis=1))
    return study


def test_it_beats_random_search_among_feasible_candidates(
    build: Build, make_problem: MakeProblem
) -> None:
    gains = []
    for seed in range(5):
        problem = make_problem(space=DEEP, most=16 * (10 + 16 * 22), seed=seed)
        evolved = searched(problem, build("evolution", problem), 120)
        drawn = searched(problem, build("random", problem), 120)
        best = [max(t.values[0] for t in study.trials) for study in (evolved, drawn)]
        gains.append(best[0] - best[1])
    assert np.mean(gains) > 0.02


def test_with_two_objectives_it_dominates_more_than_random_search(
    build: Build, make_problem: MakeProblem
) -> None:
    objectives = (Objective("accuracy", maximize=True), Objective("parameters", maximize=False))
    volumes = []
    for name in ("evolution", "random"):
        problem = make_problem(space=DEEP, most=20_000, objectives=objectives)
        study = searched(problem, build(name, problem), 80)
        values = np.array([trial.values for trial in study.trials])
        volumes.append(hypervolume(values, [0.0, 20_000.0], [True, False]))
    assert volumes[0] > 1.05 * volumes[1]


def test_the_first_candidates_spread_over_the_costs_and_reach_the_limit(
    build: Build, make_problem: MakeProblem
) -> None:
    problem = make_problem(space=DEEP, most=16 * (10 + 16 * 22))
    codes = build("evolution", problem, initial=16).ask(16)
    use = np.sort(problem.costs.table(codes)["parameters"]) / (16 * (10 + 16 * 22))
    assert use[0] < 0.75
    assert (use > 0.95).sum() >= 6
    assert np.diff(use).max() < 0.25


def test_cheaper_candidates_count_as_less_use_of_the_limits(make_problem: MakeProblem) -> None:
    problem = make_problem(space=DEEP)
    assert use_of_limits(problem, DEEP.corners()).tolist() == pytest.approx(
        [0, use_of_limits(problem, DEEP.corners())[1], 1]
    )
    assert use_of_limits(problem, DEEP.corners()[:1]).tolist() == [0]


def test_many_results_do_not_make_asking_slow(build: Build, make_problem: MakeProblem) -> None:
    problem = make_problem(space=DEEP, most=20_000)
    sampler = build("evolution", problem)
    known = DEEP.unique(DEEP.sample(3000, np.random.default_rng(0)))[:1500]
    known = known[problem.costs.violation(known) == 0]
    sampler.tell(known, accuracy(known)[:, None])
    sampler.ask(16)
    start = time.process_time()
    assert len(sampler.ask(4)) == 4
    assert time.process_time() - start < 0.5


def test_all_results_alike_or_failed_leave_it_searching(
    build: Build, make_problem: MakeProblem
) -> None:
    for value in (0.5, np.nan):
        problem = make_problem(space=DEEP, most=20_000)
        study = Study(problem, build("evolution", problem, initial=4))
        for _ in range(6):
            codes = study.ask(4)
            study.tell(codes, np.full((4, 1), value))
        assert len(study.trials) == 24


def test_a_broken_measured_limit_weighs_more_than_quality(
    build: Build, make_problem: MakeProblem
) -> None:
    """Half of what was told breaks a measured limit and is better: children come from the rest."""
    given = make_problem(space=DEEP, most=1e9)
    problem = Problem(
        given.space, given.costs, given.objectives, given.seed, given.feasible, ("seconds",)
    )
    sampler = build("evolution", problem, initial=1, mutation=0.02)
    sampler.tell(sampler.ask(1), np.array([[0.0]]), np.array([[1.0]]))
    known = DEEP.unique(DEEP.sample(200, np.random.default_rng(0)))
    wide = known[:, 0] == 2
    sampler.tell(known, wide[:, None].astype(float), np.where(wide, 0.2, -0.2)[:, None])
    assert (sampler.ask(20)[:, 0] < 2).mean() > 0.9


def test_children_that_break_a_limit_are_repaired_and_not_lost(
    build: Build, make_problem: MakeProblem
) -> None:
    """About 1 in 300 random configurations meets the limit."""
    problem = make_problem(space=DEEP, most=16 * (10 + 16 * 14))
    sampler = build("evolution", problem, initial=8, mutation=0.3)
    for _ in range(3):
        codes = sampler.ask(8)
        sampler.tell(codes, accuracy(codes)[:, None])
    bred = sampler._bred(200)  # type: ignore[attr-defined]
    assert len(bred) > 50
    assert (problem.costs.violation(bred) == 0).all()


@pytest.mark.parametrize("objectives", [1, 2])
def test_of_very_many_the_best_stay_parents_and_the_others_are_forgotten(
    build: Build, make_problem: MakeProblem, objectives: int
) -> None:
    wanted = (Objective("accuracy", maximize=True), Objective("parameters", maximize=False))
    problem = make_problem(space=DEEP, most=10**9, objectives=wanted[:objectives])
    sampler = build("evolution", problem)
    codes = DEEP.unique(DEEP.sample(30_000, np.random.default_rng(0)))
    columns = [
        accuracy(codes) + 1e-6 * np.arange(len(codes)),
        problem.costs.table(codes)["parameters"],
    ]
    values = np.stack(columns[:objectives], axis=1)
    sampler.tell(codes[:20_000], values[:20_000])
    for start in range(20_000, len(codes), 10):
        sampler.tell(codes[start : start + 10], values[start : start + 10])
    kept = sampler._told  # type: ignore[attr-defined]
    assert len(kept) <= 8192
    minimal = values * np.array([-1.0, 1.0])[:objectives]
    if objectives == 1:
        first = best_few(minimal, [False], 16)
        assert np.array_equal(kept.codes[sampler._best(16)], codes[first])  # type: ignore[attr-defined]
    front = codes[on_front(minimal, [False] * objectives)]
    assert np.isin(DEEP.marks(front), DEEP.marks(kept.codes)).all()
    assert len(sampler.ask(8)) == 8
