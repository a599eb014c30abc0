"""pymoo's constrained problems over our spaces, with their true fronts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, final

import numpy as np

from constrained import fronts
from constrained.fronts import Array
from stillhouse.core.search import Codes, Costs, Objective, Problem, hypervolume
from stillhouse.core.space import Real, Space

DIFFICULTIES = {1: "diversity 0.25", 3: "convergence 0.25", 4: "all three 0.25"}
"""Of DAS-CMOP, by pymoo's number: its triplet of diversity, feasibility and convergence."""
REFERENCE = 1.1


@dataclass(frozen=True, eq=False)
class Task:
    """A problem of continuous variables; objectives are minimised, constraints met where <= 0.

    `front` (points, objectives) is the true one. `explicit` says that the constraints are plain
    formulas in the variables, so that a user could know them before any evaluation; elsewhere
    they follow from the objectives, and nobody could.
    """

    name: str
    problem: Any
    space: Space
    front: Array
    explicit: bool

    @property
    def about(self) -> str:
        p = self.problem
        return f"{self.name}: {p.n_var} variables, {p.n_obj} objectives, {p.n_ieq_constr} limit(s)"

    def evaluated(self, codes: Codes) -> tuple[Array, Array]:
        """Objectives (n, objectives) and constraints (n, constraints)."""
        genes = self.space.columns(codes)
        return self.at(np.stack([genes[name] for name in self.space.names], axis=1))

    def at(self, rows: Array) -> tuple[Array, Array]:
        """The same, of variables (n, variables)."""
        return fronts.evaluated(self.problem, rows)

    def search_problem(self, seed: int, known: bool, budget: int) -> Problem:
        """The problem as our samplers get it: limits in the costs, or told as outcomes."""
        objectives = [Objective(f"f{i}", False) for i in range(self.problem.n_obj)]
        limits = tuple(f"g{i}" for i in range(self.problem.n_ieq_constr))
        costs = ConstraintCosts(self, limits if known else ())
        drawn = self.space.sample(2048, np.random.default_rng([seed, 78]))
        feasible = drawn[costs.violation(drawn) == 0][:64] if known else drawn[:0]
        outcomes = () if known else limits
        return Problem(self.space, costs, objectives, seed, feasible, outcomes, budget)

    def scaled(self, values: Array) -> Array:
        """Objectives on the scale on which the true front spans 0 to 1 in each."""
        low, high = self.front.min(axis=0), self.front.max(axis=0)
        return (values - low) / (high - low)

    def volume_share(self, values: Array) -> float:
        """Hypervolume up to 1.1 in every scaled objective, as a share of the true front's."""
        corner, down = [REFERENCE] * self.problem.n_obj, [False] * self.problem.n_obj
        whole = hypervolume(self.scaled(self.front), corner, down)
        return hypervolume(self.scaled(values), corner, down) / whole

    def igd_plus(self, values: Array) -> float:
        """Mean distance from the true front to what is not yet reached of it, scaled objectives.

        Source: Ishibuchi et al., "Modified distance calculation in generational distance and
        inverted generational distance", 2015.
        """
        from moocore import igd_plus

        return float(igd_plus(self.scaled(values), ref=self.scaled(self.front)))


@final
class ConstraintCosts(Costs):
    """The constraints named in `limited` as known costs with the limit 0; none when empty."""

    def __init__(self, task: Task, limited: tuple[str, ...]) -> None:
        self._task, self.limited = task, limited

    def table(self, codes: Codes) -> Mapping[str, Array]:
        if not self.limited:
            return {}
        return dict(zip(self.limited, self._task.evaluated(codes)[1].T, strict=True))

    def violation(self, codes: Codes) -> Array:
        total = np.zeros(len(codes))
        for column in self.table(codes).values():
            total += np.maximum(column, 0.0)
        return total


@dataclass(frozen=True)
class Source:
    """Where a task is from: a name in pymoo, its arguments, and where the true front is from."""

    pymoo: str
    front: Callable[[Any], Array]
    arguments: Mapping[str, int] = field(default_factory=dict)
    explicit: bool = False


_MW = partial(fronts.by_distance, nearest=1.0)
_DAS = partial(fronts.by_distance, nearest=0.0)

SOURCES: Mapping[str, Source] = {
    "BNH": Source("bnh", fronts.by_formula, explicit=True),
    "OSY": Source("osy", fronts.osy, explicit=True),
    "TNK": Source("tnk", fronts.tnk, explicit=True),
    "SRN": Source("srn", fronts.srn, explicit=True),
    **{f"MW{i}": Source(f"mw{i}", _MW) for i in (1, 2, 3, 6, 7, 11, 13)},
    **{f"MW{i}-small": Source(f"mw{i}", _MW, {"n_var": 6}) for i in (1, 2, 6)},
    "C1DTLZ1": Source("c1dtlz1", fronts.by_formula),
    "C2DTLZ2": Source("c2dtlz2", fronts.by_formula),
    "C3DTLZ4": Source("c3dtlz4", fronts.by_formula),
    **{f"DASCMOP1-{i}": Source("dascmop1", _DAS, {"difficulty": i}) for i in DIFFICULTIES},
}


_LEFT_OUT = ("MW1", "MW2", "MW6", "C1DTLZ1", "MW13", "DASCMOP1-1", "DASCMOP1-3")
DEFAULTS = tuple(name for name in SOURCES if name not in _LEFT_OUT)
"""Without the four where hardly anyone meets the limits in 200 evaluations (MW1, 2 and 6 are there
with 6 variables), and without three that resemble others, for time."""


def task(name: str) -> Task:
    """One of `SOURCES`, its true front computed."""
    from pymoo.problems import get_problem

    source = SOURCES[name]
    problem = get_problem(source.pymoo, **source.arguments)
    bounds = zip(*problem.bounds(), strict=True)
    space = Space([Real(f"x{i}", low=float(a), high=float(b)) for i, (a, b) in enumerate(bounds)])
    return Task(name, problem, space, source.front(problem), source.explicit)
