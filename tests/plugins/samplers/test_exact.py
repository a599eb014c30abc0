"""Proven optima, against every configuration there is."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from numpy.typing import NDArray

from stillhouse.core.cost.limits import Limit, violation
from stillhouse.core.errors import UserError
from stillhouse.core.search import Codes, Costs, Objective, Problem, enumerated, on_front
from stillhouse.core.space import Choice, Integer, Space
from stillhouse.plugins.samplers.exact import Exact, solvable
from stillhouse.plugins.samplers.info import ExactParams

SPACE = Space(
    [
        Choice("width", (16, 32, 48)),
        Integer("depth", 1, 3),
        Choice("heads", (1, 2, 4), per="depth"),
        Choice("form", ("dense", "low-rank")),
        Choice("rank", (4, 8), when=("form", ("low-rank",))),
    ]
)


class Sums(Costs):
    """Parameters multiply width and layers; latency adds up."""

    def __init__(self, space: Space, *limits: Limit) -> None:
        self._space = space
        self.limits = limits
        self.limited = tuple(dict.fromkeys(limit.cost for limit in limits))

    def table(self, codes: Codes) -> Mapping[str, NDArray[np.float64]]:
        genes = self._space.columns(codes)
        heads = np.nansum(genes["heads"], axis=1)
        rank = np.nan_to_num(genes["rank"], nan=12.0)
        return {
            "parameters": genes["width"] * (10 + 16 * heads) + 3 * rank,
            "latency_ms": 1 / genes["width"] + 0.1 * genes["depth"] + 0.03 * heads - rank / 100,
        }

    def violation(self, codes: Codes) -> NDArray[np.float64]:
        return violation(self.table(codes), self.limits) if self.limits else np.zeros(len(codes))


def problem(*objectives: str, limits: tuple[Limit, ...] = (), space: Space = SPACE) -> Problem:
    costs = Sums(space, *limits)
    wanted = [Objective(name.lstrip("-"), name.startswith("-")) for name in objectives]
    return Problem(space, costs, wanted, 0, np.empty((0, space.width)))


LIMITS = (Limit("parameters", "<=", 3000.0), Limit("latency_ms", ">=", 0.2))


def everything(given: Problem) -> Codes:
    codes = enumerated(given.space)
    assert codes is not None
    return codes[given.costs.violation(codes) == 0]


@pytest.mark.parametrize("objective", ["latency_ms", "-parameters", "parameters"])
@pytest.mark.parametrize("limits", [(), LIMITS], ids=["free", "limited"])
def test_asks_follow_the_order_of_all_configurations(
    objective: str, limits: tuple[Limit, ...]
) -> None:
    given = problem(objective, limits=limits)
    sampler = Exact(ExactParams(), given)
    asked = np.concatenate([sampler.ask(7), sampler.ask(30)])
    name, sign = objective.lstrip("-"), -1.0 if objective.startswith("-") else 1.0
    truth = np.sort(sign * given.costs.table(everything(given))[name])[:37]
    assert sign * given.costs.table(asked)[name] == pytest.approx(truth, rel=1e-12)
    assert len(SPACE.unique(asked)) == 37
    assert not sampler.fallbacks


def test_it_ends_when_every_configuration_within_the_limits_was_asked() -> None:
    given = problem("parameters", limits=LIMITS)
    sampler = Exact(ExactParams(), given)
    total = len(everything(given))
    assert len(sampler.ask(10_000)) == total
    assert len(sampler.ask(1)) == 0


@pytest.mark.parametrize("limits", [(), LIMITS], ids=["free", "limited"])
def test_of_two_objectives_the_front_comes_first(
    limits: tuple[Limit, ...],
) -> None:
    given = problem("latency_ms", "-parameters", limits=limits)
    codes = everything(given)
    values = np.stack(list(given.costs.table(codes).values()), axis=1)[:, ::-1]
    on = on_front(values, [False, True])
    best = np.unique(np.round(values[on], 9), axis=0)
    sampler = Exact(ExactParams(), given)
    asked = sampler.ask(int(on.sum()))
    found = np.stack(list(given.costs.table(asked).values()), axis=1)[:, ::-1]
    assert np.unique(np.round(found, 9), axis=0) == pytest.approx(best)


def test_what_was_told_is_not_asked() -> None:
    given = problem("parameters")
    first = Exact(ExactParams(), given).ask(5)
    sampler = Exact(ExactParams(), given)
    sampler.tell(first, given.costs.table(first)["parameters"][:, None])
    assert not (sampler.ask(5)[:, None] == first[None]).all(axis=2).any()


class Uneven(Sums):
    """Neighbouring genes interact everywhere."""

    def table(self, codes: Codes) -> Mapping[str, NDArray[np.float64]]:
        values = self._space.columns(codes)
        total = sum(np.sin(values[f"g{i}"] * values[f"g{i + 1}"]) for i in range(11))
        return {"parameters": np.asarray(total, dtype=np.float64)}


def test_problems_that_it_cannot_solve_are_refused_with_the_reason() -> None:
    wide = Space([Integer(f"g{i}", 1, 9) for i in range(12)])
    uneven = Problem(wide, Uneven(wide), [Objective("parameters", False)], 0, wide.corners()[:0])
    measured = problem("accuracy")
    outcomes = problem("parameters")
    outcomes = Problem(
        SPACE, outcomes.costs, outcomes.objectives, 0, outcomes.feasible, ("accuracy",)
    )
    for given, reason in (
        (uneven, "sums over genes"),
        (measured, "'accuracy' is measured"),
        (outcomes, "limits on measured values"),
    ):
        assert reason in str(solvable(given))
        with pytest.raises(UserError, match=reason):
            Exact(ExactParams(), given)
    assert solvable(problem("parameters")) is None
