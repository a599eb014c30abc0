from __future__ import annotations

from collections.abc import Callable

import numpy as np

from stillhouse.core.search import Objective, Problem
from stillhouse.core.space import Choice, Space
from stillhouse.plugins.samplers.screening import screened

MakeProblem = Callable[..., Problem]
SPACE = Space([Choice("width", (16, 24, 32, 48, 64)), Choice("depth", (1, 2, 3, 4, 5, 6))])


def codes(*rows: tuple[int, int]) -> np.ndarray:
    return np.array(rows, dtype=float)


def test_the_child_that_promises_most_is_chosen(make_problem: MakeProblem) -> None:
    problem = make_problem(space=SPACE, most=1e9)
    known = codes(*((w, d) for w in range(5) for d in range(0, 6, 2)))
    children = codes((0, 1), (2, 3), (4, 5), (1, 1))
    better_when_large = -known.sum(axis=1)[:, None]
    for seed in range(10):
        rng = np.random.default_rng(seed)
        assert screened(problem, known, better_when_large, children, 1, rng).tolist() == [2]


def test_chosen_children_are_distinct_and_few_are_all_taken(make_problem: MakeProblem) -> None:
    problem = make_problem(space=SPACE, most=1e9)
    known, children = codes((0, 0), (1, 1)), codes((0, 1), (2, 3), (4, 5), (1, 2))
    values = np.array([[0.0], [1.0]])
    rng = np.random.default_rng(0)
    assert len(set(screened(problem, known, values, children, 3, rng).tolist())) == 3
    assert screened(problem, known, values, children, 9, rng).tolist() == [0, 1, 2, 3]


def test_objectives_that_are_known_costs_are_not_guessed(make_problem: MakeProblem) -> None:
    """Told nonsense about parameters, it still goes by the true ones."""
    problem = make_problem(space=SPACE, most=1e9, objectives=(Objective("parameters", False),))
    known, children = codes((0, 0), (4, 5)), codes((4, 4), (0, 1), (3, 3))
    lies = np.array([[1e6], [0.0]])
    assert screened(problem, known, lies, children, 1, np.random.default_rng(0)).tolist() == [1]
