"""No space, no cost and no limit makes a search hang, repeat itself or break a limit."""

from __future__ import annotations

import importlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from stillhouse.core.cost.feasibility import settle
from stillhouse.core.cost.limits import Limit, violation
from stillhouse.core.errors import LimitError, UserError
from stillhouse.core.search import Codes, Costs, Objective, Problem, Sampler, Study
from stillhouse.core.space import Choice, Dimension, Integer, Real, Simplex, Space, Taps
from stillhouse.plugins.samplers.info import stillhouse_samplers

RECORDS = {record.name: record for record in stillhouse_samplers()}
EVALUATIONS = 60
FEW: Mapping[str, int] = {"optuna-gp": 10, "optuna-tpe": 16, "surrogate": 30}
"""Evaluations of the samplers that take milliseconds for each."""
PARAMS: Mapping[str, Mapping[str, Any]] = {
    "optuna-gp": {"startup": 8},
    **{f"optuna-{name}": {"tries": 3} for name in ("tpe", "nsga2", "random", "cmaes", "qmc")},
}
EXAMPLES: Mapping[str, int] = {
    **{name: 3 for name in RECORDS if name.startswith("optuna")},
    "optuna-gp": 2,
    "surrogate": 4,
}
SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]
STEADY: Mapping[str, Any] = {
    "derandomize": True,
    "phases": [Phase.explicit, Phase.generate],
    "deadline": None,
    "suppress_health_check": SLOW,
}
"""The same examples every time, and none made smaller: to shrink a slow one takes minutes."""
SECONDS = 10.0
SETTLED_SECONDS = 2.0


@st.composite
def leaves(draw: st.DrawFn, name: str, link: dict[str, Any]) -> Dimension:
    match draw(st.sampled_from(["choice", "ordered", "integer", "real", "simplex", "taps"])):
        case "choice":
            return Choice(name, tuple("abcdefgh"[: draw(st.integers(1, 8))]), **link)
        case "ordered":
            return Choice(name, tuple(range(1, draw(st.integers(2, 7)))), **link)
        case "integer":
            high, log = draw(st.sampled_from([2, 9, 100_000])), draw(st.booleans())
            return Integer(name, 1, high, log=log, **link)
        case "real":
            return Real(name, 0.1, 2.0, draw(st.booleans()), **link)
        case "simplex":
            return Simplex(name, draw(st.integers(2, 3)), **link)
    total = draw(st.integers(1, 6))
    return Taps(name, draw(st.integers(1, total)), total, **link)


@st.composite
def spaces(draw: st.DrawFn) -> Space:
    """From a single configuration to a conditional space of dozens of genes."""
    roots: list[Dimension] = [
        Choice("mode", ("x", "y")),
        Integer("depth", draw(st.integers(0, 1)), draw(st.sampled_from([1, 3, 12]))),
        Choice("kind", ("p", "q"), per="depth"),
    ]
    links: list[dict[str, Any]] = [
        {},
        {"per": "depth"},
        {"per": "depth", "when": ("kind", ("q",))},
        {"when": ("mode", ("y",))},
    ]
    chosen = draw(st.lists(st.sampled_from(links), max_size=5))
    found = [draw(leaves(f"g{i}", link)) for i, link in enumerate(chosen)]
    if all("when" not in link and "per" not in link for link in chosen) and found:
        return Space(found)
    return Space([*roots, *found])


@dataclass(frozen=True, eq=False)
class Drawn(Costs):
    """Two costs, one additive over features and one a product of factors, under drawn limits."""

    space: Space
    weights: NDArray[np.float64]
    factors: NDArray[np.float64]
    limits: Sequence[Limit]
    limited = ("sum", "product")

    def table(self, codes: Codes) -> Mapping[str, NDArray[np.float64]]:
        features = self.space.encoding(codes)
        total, product = features @ self.weights, np.exp(features @ self.factors)
        # The last bits of a matrix product depend on the number of rows; a limit may be equality.
        return {"sum": total.round(6), "product": product.round(6)}

    def violation(self, codes: Codes) -> NDArray[np.float64]:
        return violation(self.table(codes), self.limits)


@st.composite
def costs(draw: st.DrawFn, space: Space) -> Drawn:
    """Upper, lower, two-sided, out of reach, or met by hardly more than one candidate."""
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    drawn = space.sample(64, rng)
    features = space.encoding(drawn).shape[1]
    weights, factors = rng.normal(size=features).round(2), rng.normal(size=features) / 8
    table = Drawn(space, weights, factors, ()).table(drawn)
    limits: list[Limit] = []
    for cost in draw(st.sets(st.sampled_from(sorted(table)), max_size=2)):
        low, high = np.quantile(table[cost], [draw(st.floats(0, 0.5)), draw(st.floats(0.5, 1))])
        exact = float(table[cost][0])
        limits += {
            "upper": [Limit(cost, "<=", float(high))],
            "tight": [Limit(cost, "<=", float(table[cost].min()))],
            "lower": [Limit(cost, ">=", float(low))],
            "range": [Limit(cost, ">=", float(low)), Limit(cost, "<=", float(high))],
            "equal": [Limit(cost, ">=", exact), Limit(cost, "<=", exact)],
            "impossible": [Limit(cost, "<=", float(table[cost].min() - 1e3))],
            "empty": [Limit(cost, ">=", exact + 0.1), Limit(cost, "<=", exact - 0.1)],
        }[
            draw(
                st.sampled_from(
                    ["upper", "tight", "lower", "range", "equal", "impossible", "empty"]
                )
            )
        ]
    return Drawn(space, weights, factors, limits)


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    space = draw(spaces())
    known = draw(costs(space))
    both = [Objective("quality", maximize=True), Objective("product", maximize=False)]
    drawn = space.sample(200, np.random.default_rng(0))
    # With nothing known to be feasible a sampler is on its own.
    feasible = drawn[known.violation(drawn) == 0][: draw(st.sampled_from([0, 1, 9]))]
    return Problem(space, known, both[: draw(st.integers(1, 2))], draw(st.integers(0, 9)), feasible)


def quality(problem: Problem, codes: Codes) -> NDArray[np.float64]:
    """In steps, and failed now and then."""
    steps = np.round(problem.space.encoding(codes).sum(axis=1), 1)
    return np.where(problem.space.marks(codes) % np.uint64(11) == 0, np.nan, steps)


def built(name: str, problem: Problem) -> Sampler | None:
    """None where the sampler says that it is not made for such a problem."""
    record = RECORDS[name]
    module, attribute = record.build.split(":")
    build = getattr(importlib.import_module(module), attribute)
    try:
        sampler: Sampler = build(record.params(**PARAMS.get(name, {})), problem)
    except UserError:
        return None
    return sampler


def searched(name: str, problem: Problem, batch: int) -> None:
    """Ask and tell to the end; `Study` refuses repeats and candidates that break a limit."""
    began = time.process_time()
    sampler = built(name, problem)
    if sampler is None:
        return
    study = Study(problem, sampler)
    while len(study.trials) < FEW.get(name, EVALUATIONS):
        codes = study.ask(batch)
        assert time.process_time() - began < SECONDS
        if not len(codes):
            return
        values = {**problem.costs.table(codes), "quality": quality(problem, codes)}
        study.tell(codes, np.stack([values[o.name] for o in problem.objectives], axis=1))


@pytest.mark.parametrize("name", RECORDS)
def test_every_search_ends(name: str) -> None:
    @settings(max_examples=EXAMPLES.get(name, 6), **STEADY)
    @given(problem=problems(), batch=st.sampled_from([1, 7]))
    def ends(problem: Problem, batch: int) -> None:
        searched(name, problem, batch)

    ends()


@settings(max_examples=12, **STEADY)
@given(problem=problems())
def test_limits_are_settled_or_refused_in_two_seconds(problem: Problem) -> None:
    known = problem.costs
    assert isinstance(known, Drawn)
    began = time.process_time()
    found, refusal = np.empty((0, problem.space.width)), ""
    try:
        found = settle(problem.space, known, known.limits, np.random.default_rng(0)).feasible
    except LimitError as error:
        refusal = str(error)
    assert len(found) > 0 or any(str(limit) in refusal for limit in known.limits)
    assert (known.violation(found) == 0).all()
    assert time.process_time() - began < SETTLED_SECONDS
