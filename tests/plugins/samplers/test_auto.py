from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from stillhouse.core.cost.limits import Limit
from stillhouse.core.plugin.params import Params
from stillhouse.core.search import Codes, Costs, Objective, Problem, Sampler, Study
from stillhouse.core.space import Choice, Space
from stillhouse.plugins.samplers.auto import MANY, Auto, chosen

Array = NDArray[np.float64]
Build = Callable[..., Sampler]

QUALITY, SIZE = Objective("quality", maximize=True), Objective("size", maximize=False)
SMALL = Space([Choice("width", (1, 2, 3)), Choice("depth", (1, 2, 3))])
LARGE = Space([Choice(f"g{i}", ("a", "b", "c", "d")) for i in range(20)])


class Sizes(Costs):
    """The sum of the codes, at most `most`."""

    limited = ("size",)

    def __init__(self, most: float) -> None:
        self.most = most
        self.limits = (Limit("size", "<=", most),)

    def table(self, codes: Codes) -> Mapping[str, Array]:
        return {"size": codes.clip(0).sum(axis=1)}

    def violation(self, codes: Codes) -> Array:
        return np.maximum(self.table(codes)["size"] - self.most, 0)


def problem(
    space: Space = LARGE,
    objectives: Sequence[Objective] = (QUALITY,),
    outcomes: Sequence[str] = (),
    budget: int | None = None,
    most: float = 100.0,
) -> Problem:
    return Problem(space, Sizes(most), objectives, 0, space.corners()[:1], outcomes, budget)


def quality(codes: Codes) -> Array:
    return np.sin(codes).sum(axis=1)[:, None]


@pytest.mark.parametrize(
    ("given", "name", "why"),
    [
        (problem(), "surrogate", "quality is measured"),
        (problem(budget=200), "surrogate", "quality is measured"),
        (problem(budget=MANY), "surrogate", "quality is measured"),
        (problem(budget=MANY + 1), "evolution", "5,001 evaluations are planned"),
        (problem(objectives=[QUALITY, SIZE]), "surrogate", "quality is measured"),
        (problem(SMALL, budget=9), "random", "covers all 9 configurations"),
        (problem(SMALL, budget=8), "surrogate", "quality is measured"),
        (problem(SMALL, budget=6, most=2.0), "random", "covers all 6 configurations"),
        (problem(SMALL), "surrogate", "quality is measured"),
        (problem(objectives=[SIZE]), "exact", "separates over genes"),
        (problem(objectives=[SIZE], outcomes=["accuracy"]), "surrogate", "measured"),
    ],
)
def test_what_the_problem_is_decides(given: Problem, name: str, why: str) -> None:
    found, reason = chosen(given)
    assert found == name
    assert why in reason


@pytest.mark.parametrize(
    ("given", "name"),
    [
        (problem(), "surrogate"),
        (problem(budget=MANY + 1), "evolution"),
        (problem(SMALL, budget=20), "random"),
    ],
)
def test_it_asks_what_the_chosen_one_would_and_says_so(
    given: Problem, name: str, build: Build
) -> None:
    auto = Auto(Params(), given)
    runs = []
    for sampler in (auto, build(name, given)):
        study = Study(given, sampler)
        for _ in range(5):
            codes = study.ask(4)
            study.tell(codes, quality(codes))
        runs.append(np.stack([trial.codes for trial in study.trials]))
    np.testing.assert_array_equal(runs[0], runs[1])
    assert auto.notes[0].startswith(f"auto chose '{name}': ")
    assert auto.fallbacks == 0


def test_known_separable_costs_are_solved_at_the_first_ask() -> None:
    given = problem(objectives=[Objective("size", maximize=True)], most=25.0)
    auto = Auto(Params(), given)
    codes = auto.ask(1)
    assert given.costs.table(codes)["size"].tolist() == [25.0]
    assert auto.notes[0].startswith("auto chose 'exact': ")
