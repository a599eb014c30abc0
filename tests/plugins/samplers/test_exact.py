from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from stillhouse.core.cost.limits import Limit
from stillhouse.core.errors import UserError
from stillhouse.core.search import (
    Codes,
    Costs,
    Objective,
    Problem,
    Study,
    enumerated,
    known_costs,
    on_front,
)
from stillhouse.core.search.known import FunctionCosts
from stillhouse.core.space import Choice, Space
from stillhouse.plugins.samplers.exact import Exact, solvable
from stillhouse.plugins.samplers.info import ExactParams

SMALL = Space([Choice("width", (16, 24, 32)), Choice("depth", (1, 2, 3))])
LAYERED = Space(
    [
        Choice("width", (16, 32, 48)),
        Choice("depth", (3, 4, 5)),
        Choice("heads", (1, 2, 3, 4), per="depth"),
        Choice("form", ("dense", "low-rank"), per="depth"),
    ]
)
LOSS = Objective("loss", maximize=False)
PARAMETERS = Objective("parameters", maximize=False)
SHARES = np.array([1.0, 1.7, 0.6, 1.3, 0.9])


def layers(columns: Mapping[str, NDArray[np.float64]]) -> dict[str, NDArray[np.float64]]:
    """Known costs and a known quality of stacked layers."""
    if "heads" not in columns:
        return {"parameters": columns["width"] * columns["depth"], "loss": -columns["width"]}
    low = columns["form"] == "low-rank"
    heads = columns["heads"] * np.where(low, 4.0, columns["width"][:, None])
    parameters = columns["width"] * np.nansum(heads, axis=1)
    loss = 100 - np.nansum(np.sqrt(heads) * SHARES, axis=1)
    return {
        "parameters": parameters,
        "latency_ms": np.nansum(columns["heads"], axis=1) + 100 / columns["width"],
        "loss": loss,
        "memory_kb": np.nanmax(heads * SHARES, axis=1) * np.nanmax(columns["heads"], axis=1),
    }


def problem(
    space: Space = LAYERED,
    objectives: Sequence[Objective] = (LOSS,),
    most: float = 9000.0,
    latency: float | None = None,
    outcomes: Sequence[str] = (),
) -> Problem:
    limits = [Limit("parameters", "<=", most)]
    limits += [Limit("latency_ms", "<=", latency)] if latency else []
    costs = FunctionCosts(space, known_costs(layers), limits)
    return Problem(space, costs, objectives, 0, space.corners()[:1], outcomes)


def asked(study: Study, rounds: int, batch: int) -> NDArray[np.float64]:
    """Objectives in the order of asking, (n, objectives); each is told as it is."""
    rows = []
    for _ in range(rounds):
        codes = study.ask(batch)
        table = study.problem.costs.table(codes)
        rows.append(np.stack([table[o.name] for o in study.problem.objectives], axis=1))
        study.tell(codes, rows[-1])
    return np.concatenate(rows)


def everything(of: Problem) -> NDArray[np.float64]:
    """Objectives of all that meets the limits."""
    codes = enumerated(of.space, 10**6)
    assert codes is not None
    table = of.costs.table(codes[of.costs.violation(codes) == 0])
    return np.stack([table[o.name] for o in of.objectives], axis=1)


@pytest.mark.parametrize("latency", [None, 12.5])
def test_the_best_comes_first_and_then_the_next_best(latency: float | None) -> None:
    of = problem(latency=latency)
    assert of.space.size() > 20_000
    found = asked(Study(of, Exact(ExactParams(), of)), 10, 4)[:, 0]
    assert found == pytest.approx(np.sort(everything(of)[:, 0])[:40], rel=1e-12)


def test_a_maximised_cost_is_led_to_its_limit() -> None:
    of = problem(objectives=[Objective("parameters", maximize=True)])
    found = asked(Study(of, Exact(ExactParams(), of)), 3, 2)[:, 0]
    assert found.tolist() == np.sort(everything(of)[:, 0])[::-1][:6].tolist()


def test_what_was_told_is_not_proposed() -> None:
    of = problem()
    first = Exact(ExactParams(), of).ask(5)
    sampler = Exact(ExactParams(), of)
    sampler.tell(first, np.zeros((5, 1)))
    assert not set(of.space.keys(first)) & set(of.space.keys(sampler.ask(20)))


def test_points_of_the_pareto_front_come_first() -> None:
    of = problem(objectives=[PARAMETERS, LOSS])
    sampler = Exact(ExactParams(points=12), of)
    found = asked(Study(of, sampler), 3, 4)
    values = everything(of)
    front = values[on_front(values, [False, False])]
    assert sampler.notes == ("exact: 12 points of the Pareto front",)
    for row in found:
        assert np.isclose(front, row, rtol=1e-9).all(axis=1).any()
    assert found[:, 0].min() == front[:, 0].min()
    assert found[:, 1].min() == pytest.approx(front[:, 1].min())


def test_three_objectives_have_a_front_too() -> None:
    of = problem(objectives=[PARAMETERS, LOSS, Objective("latency_ms", maximize=False)])
    found = asked(Study(of, Exact(ExactParams(points=8), of)), 2, 3)
    values = everything(of)
    front = values[on_front(values, [False, False, False])]
    assert all(np.isclose(front, row, rtol=1e-9).all(axis=1).any() for row in found)


def test_a_small_space_is_searched_to_its_end_and_then_asks_come_back_empty() -> None:
    of = problem(SMALL, most=70)
    study = Study(of, Exact(ExactParams(), of))
    assert asked(study, 3, 3)[:, 0].tolist() == [-32, -32, -24, -24, -16, -16, -16]
    assert len(study.ask(1)) == 0
    assert "7 candidates" in study.notes[0]


def test_one_that_finds_nothing_feasible_returns_nothing() -> None:
    of = problem(most=1.0)
    assert len(Exact(ExactParams(), of).ask(2)) == 0


def test_a_measured_objective_is_refused_with_the_reason_and_a_way_out() -> None:
    of = problem(objectives=[Objective("accuracy", maximize=True)])
    with pytest.raises(UserError) as refused:
        Exact(ExactParams(), of)
    assert str(refused.value) == (
        "sampler 'exact': 'accuracy' is measured, not computed beforehand; "
        "use another sampler, such as 'evolution', or 'auto'"
    )


def test_it_says_what_it_can_solve() -> None:
    assert solvable(problem()) is None
    assert solvable(problem(SMALL)) is None
    measured = solvable(problem(outcomes=("accuracy",)))
    assert measured == "limits on measured values (accuracy) need evaluations"
    peak = solvable(problem(objectives=[Objective("memory_kb", maximize=False)]))
    assert peak == "not all of memory_kb, parameters are sums over genes"


def test_limits_that_are_not_stated_cannot_be_solved_under() -> None:
    class Judged(Costs):
        limited = ("parameters",)

        def table(self, codes: Codes) -> Mapping[str, NDArray[np.float64]]:
            return layers(LAYERED.columns(codes))

        def violation(self, codes: Codes) -> NDArray[np.float64]:
            return np.maximum(self.table(codes)["parameters"] - 9000, 0)

    of = Problem(LAYERED, Judged(), [LOSS], 0, LAYERED.corners()[:1])
    assert solvable(of) == "the limits on parameters are judged, but not stated as bounds"


def test_candidates_with_measured_costs_take_their_own_place() -> None:
    """Three were measured: their loss follows no table, and one of them is the best of all."""
    rows = LAYERED.sample(3, np.random.default_rng(5))

    class Measured(Costs):
        limited = ("parameters",)
        limits = (Limit("parameters", "<=", 9000.0),)
        apart = rows

        def table(self, codes: Codes) -> Mapping[str, NDArray[np.float64]]:
            table = dict(layers(LAYERED.columns(codes)))
            for row, loss in zip(rows, (1.0, 99.0, 50.0), strict=True):
                table["loss"] = np.where((codes == row).all(axis=1), loss, table["loss"])
                table["parameters"] = np.where((codes == row).all(axis=1), 1, table["parameters"])
            return table

        def violation(self, codes: Codes) -> NDArray[np.float64]:
            return np.maximum(self.table(codes)["parameters"] - 9000, 0)

    of = Problem(LAYERED, Measured(), [LOSS], 0, LAYERED.corners()[:1])
    found = asked(Study(of, Exact(ExactParams(), of)), 5, 4)[:, 0]
    assert found[0] == 1.0
    assert found == pytest.approx(np.sort(everything(of)[:, 0])[:20], rel=1e-12)


def test_the_same_problem_is_answered_alike() -> None:
    first, second = (Exact(ExactParams(), problem()).ask(30) for _ in range(2))
    assert first.tolist() == second.tolist()
