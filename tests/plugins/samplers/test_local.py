from __future__ import annotations

from collections.abc import Callable

import numpy as np

from stillhouse.core.search import Objective, Problem, Sampler, Study
from stillhouse.core.space import Choice, Space

Build = Callable[..., Sampler]
MakeProblem = Callable[..., Problem]

GRID = Space([Choice("width", tuple(range(9))), Choice("depth", tuple(range(9)))])


def told(problem: Problem, sampler: Sampler, rows: list[tuple[int, int]], values: object) -> Study:
    study = Study(problem, sampler)
    study.tell(np.array(rows, dtype=float), np.array(values, dtype=float))
    return study


def pairs(codes: np.ndarray) -> set[tuple[int, ...]]:
    return {tuple(map(int, row)) for row in codes}


def test_the_neighbours_of_the_best_come_first(build: Build, make_problem: MakeProblem) -> None:
    problem = make_problem(space=GRID, most=1e9)
    study = told(problem, build("local", problem), [(4, 4), (1, 1)], [[0.9], [0.5]])
    assert pairs(study.ask(4)) == {(3, 4), (5, 4), (4, 3), (4, 5)}


def test_a_better_neighbour_becomes_the_parent(build: Build, make_problem: MakeProblem) -> None:
    problem = make_problem(space=GRID, most=1e9)
    study = told(problem, build("local", problem), [(4, 4)], [[0.5]])
    study.tell(study.ask(4), np.array([[0.9], [0.1], [0.1], [0.1]]))
    better = next(trial.codes for trial in study.trials if trial.values == (0.9,))
    assert (np.abs(study.ask(3) - better).sum(axis=1) == 1).all()


def test_neighbours_that_break_a_limit_are_left_out(
    build: Build, make_problem: MakeProblem
) -> None:
    """Parameters are width * (10 + 16 * depth)."""
    problem = make_problem(space=GRID, most=4 * (10 + 16 * 4))
    study = told(problem, build("local", problem), [(4, 4)], [[0.5]])
    assert pairs(study.ask(2)) == {(3, 4), (4, 3)}


def test_it_restarts_at_random_when_the_neighbourhood_is_used_up(
    build: Build, make_problem: MakeProblem
) -> None:
    problem = make_problem(space=GRID, most=1e9)
    study = told(problem, build("local", problem), [(4, 4)], [[0.5]])
    study.tell(study.ask(4), np.full((4, 1), 0.1))
    restarts = study.ask(6)
    assert len(restarts) == 6
    assert (np.abs(restarts - 4).sum(axis=1) > 1).all()


def test_every_member_of_the_front_is_a_parent(build: Build, make_problem: MakeProblem) -> None:
    objectives = (Objective("accuracy", maximize=True), Objective("parameters", maximize=False))
    problem = make_problem(space=GRID, most=1e9, objectives=objectives)
    rows = [(1, 1), (7, 7), (1, 7)]
    study = told(problem, build("local", problem), rows, [[0.1, 10], [0.9, 99], [0.1, 50]])
    around = study.ask(8)
    assert pairs(around) == {
        *((1 + a, 1 + b) for a, b in ((-1, 0), (1, 0), (0, -1), (0, 1))),
        *((7 + a, 7 + b) for a, b in ((-1, 0), (1, 0), (0, -1), (0, 1))),
    }


def test_a_broken_measured_limit_weighs_more_than_quality(
    build: Build, make_problem: MakeProblem
) -> None:
    given = make_problem(space=GRID, most=1e9)
    problem = Problem(
        given.space, given.costs, given.objectives, given.seed, given.feasible, ("seconds",)
    )
    sampler = build("local", problem)
    codes = np.array([[1.0, 1.0], [7.0, 7.0]])
    sampler.tell(codes, np.array([[0.2], [0.9]]), np.array([[-0.1], [0.3]]))
    assert pairs(sampler.ask(4)) == {(0, 1), (2, 1), (1, 0), (1, 2)}
