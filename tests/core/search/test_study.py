from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from stillhouse.core.errors import PluginError
from stillhouse.core.search import Codes, Costs, Objective, Problem, Sampler, Study, Trial
from stillhouse.core.space import Integer, Space

SPACE = Space([Integer("width", 0, 9), Integer("depth", 1, 3)])


class WidthCosts(Costs):
    limited = ("width",)

    def table(self, codes: Codes) -> Mapping[str, NDArray[np.float64]]:
        return {"depth": codes[:, 1], "width": codes[:, 0]}

    def violation(self, codes: Codes) -> NDArray[np.float64]:
        return np.maximum(codes[:, 0] / 6 - 1, 0)


class Scripted(Sampler):
    """Proposes the given rows in order and remembers what it was told."""

    def __init__(self, *rows: tuple[float, float]) -> None:
        self.rows = np.array(rows, dtype=float).reshape(len(rows), 2)
        self.told: list[list[float]] = []

    def ask(self, count: int) -> Codes:
        out, self.rows = self.rows[:count], self.rows[count:]
        return out

    def tell(
        self, codes: Codes, values: NDArray[np.float64], excess: NDArray[np.float64] | None = None
    ) -> None:
        self.told += values.tolist()


def study(sampler: Sampler, *objectives: Objective) -> Study:
    chosen = objectives or (Objective("accuracy", maximize=True),)
    return Study(Problem(SPACE, WidthCosts(), chosen, 0, np.empty((0, 2))), sampler)


def test_told_candidates_are_kept_in_order_with_their_costs() -> None:
    sampler = Scripted((3, 0), (5, 2))
    searched = study(sampler)
    searched.tell(searched.ask(2), np.array([[0.5], [np.nan]]))
    first, second = searched.trials
    assert first.costs == {"depth": 0.0, "width": 3.0}
    assert (first.number, second.number) == (0, 1)
    assert first.key == SPACE.keys(np.array([[3.0, 0.0]]))[0]
    assert (first.failed, second.failed) == (False, True)
    assert sampler.told[0] == [0.5]


def test_of_equal_quality_the_cheapest_by_the_limited_cost_is_best() -> None:
    searched = study(Scripted((5, 0), (2, 2), (3, 1), (1, 0)))
    searched.tell(searched.ask(4), np.array([[0.9], [0.9], [0.9], [0.8]]))
    best = searched.best()
    assert best is not None
    assert best.codes.tolist() == [2, 2]


def test_equal_quality_and_cost_are_decided_by_key_whatever_the_order() -> None:
    bests = []
    for rows in [((2, 0), (2, 1)), ((2, 1), (2, 0))]:
        searched = study(Scripted(*rows))
        searched.tell(searched.ask(2), np.array([[0.9], [0.9]]))
        best = searched.best()
        assert best is not None
        bests.append(best.key)
    assert bests[0] == bests[1] == min(SPACE.keys(np.array([[2.0, 0.0], [2.0, 1.0]])))


def test_failed_trials_are_neither_best_nor_on_the_front() -> None:
    searched = study(Scripted((5, 0), (2, 2)), Objective("a", True), Objective("b", False))
    assert searched.best() is None
    assert searched.front() == []
    searched.tell(searched.ask(2), np.array([[0.1, 5.0], [0.9, np.nan]]))
    assert [trial.number for trial in searched.front()] == [0]
    best = searched.best()
    assert best is not None
    assert best.number == 0


def test_the_front_minds_each_objectives_direction() -> None:
    searched = study(
        Scripted((1, 0), (2, 0), (3, 0)), Objective("accuracy", True), Objective("loss", False)
    )
    searched.tell(searched.ask(3), np.array([[0.5, 1.0], [0.9, 2.0], [0.4, 1.5]]))
    assert [trial.number for trial in searched.front()] == [0, 1]


@pytest.mark.parametrize(
    ("rows", "fact"),
    [
        (((7, 0),), "breaks a limit"),
        (((3, 0), (3, 0)), "proposed before"),
        (((-1, 0),), "active but has no code"),
    ],
)
def test_a_sampler_that_breaks_its_contract_is_named(
    rows: tuple[tuple[float, float], ...], fact: str
) -> None:
    with pytest.raises(PluginError, match=f"Scripted broke its contract.*({fact})"):
        study(Scripted(*rows)).ask(len(rows))


def test_asking_again_for_what_is_still_out_is_a_broken_contract() -> None:
    searched = study(Scripted((3, 0), (3, 0)))
    searched.ask(1)
    with pytest.raises(PluginError, match="proposed before"):
        searched.ask(1)


def test_nothing_is_told_twice() -> None:
    searched = study(Scripted((3, 0)))
    codes = searched.ask(1)
    searched.tell(codes, np.array([[0.5]]))
    with pytest.raises(ValueError, match="told twice"):
        searched.tell(codes, np.array([[0.6]]))
    assert [trial.values for trial in searched.trials] == [(0.5,)]


def test_values_of_the_wrong_shape_are_refused() -> None:
    searched = study(Scripted((3, 0)))
    with pytest.raises(ValueError, match=r"expected values of shape \(1, 1\), got \(1, 2\)"):
        searched.tell(searched.ask(1), np.array([[0.5, 1.0]]))


def test_the_ledger_hears_of_a_trial_before_the_sampler_does() -> None:
    sampler = Scripted((3, 0), (4, 0))
    heard: list[tuple[list[int], int]] = []

    def ledger(trials: Sequence[Trial]) -> None:
        heard.append(([trial.number for trial in trials], len(sampler.told)))

    problem = Problem(SPACE, WidthCosts(), (Objective("accuracy", True),), 0, np.empty((0, 2)))
    searched = Study(problem, sampler, ledger)
    searched.tell(searched.ask(2), np.array([[0.5], [0.6]]))
    assert heard == [([0, 1], 0)]
    assert len(sampler.told) == 2
