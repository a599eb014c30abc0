"""Evolution over the configurations that meet the limits."""

from __future__ import annotations

from typing import Final, final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.search import (
    Codes,
    FeasibleDraws,
    Problem,
    Sampler,
    best_first,
    meets_limits,
    repaired,
)
from stillhouse.plugins.samplers.design import first_design, use_of_limits
from stillhouse.plugins.samplers.info import EvolutionParams
from stillhouse.plugins.samplers.told import Told

_SURPLUS: Final = 4
"""Children bred for each one that is needed: some are known already."""


@final
class Evolution(Sampler):
    """Non-dominated sorting, tournaments, crossover, mutation, and repair by known costs.

    With one objective, equal quality is decided by the cheaper candidate. Source of the ranking:
    Deb et al., NSGA-II, 2002: a candidate that breaks a limit on a measured value comes after all
    that break none, whatever its quality. Children that break a known limit are repaired.
    """

    def __init__(self, params: EvolutionParams, problem: Problem) -> None:
        self._params = params
        self._problem = problem
        self._rng = np.random.default_rng([problem.seed, 2])
        self._draws = FeasibleDraws(problem.space, problem.costs, problem.feasible, self._rng)
        self._told = Told(problem.space.width, problem.objectives)
        self._design: Codes | None = None

    def ask(self, count: int) -> Codes:
        out = self._from_design(count)
        if len(out) < count and len(self._told.codes) > 1:
            out = np.concatenate([out, self._children(count - len(out))])
        if len(out) < count:
            out = np.concatenate([out, self._draws.draw(count - len(out))])
        return out

    def tell(
        self, codes: Codes, values: NDArray[np.float64], excess: NDArray[np.float64] | None = None
    ) -> None:
        self._draws.mark(codes)
        self._told.add(codes, values, excess)

    def _from_design(self, count: int) -> Codes:
        if self._design is None:
            self._design = first_design(self._problem, self._draws, self._params.initial, self._rng)
        fresh = self._draws.unseen(self._design)
        out, self._design = fresh[:count], fresh[count:]
        self._draws.mark(out)
        return out

    def _children(self, count: int) -> Codes:
        bred = self._bred(count * _SURPLUS)[:count]
        self._draws.mark(bred)
        return bred

    def _bred(self, count: int) -> Codes:
        """Up to `count` new children within the limits, of parents picked by tournaments."""
        space, costs, rng = self._problem.space, self._problem.costs, self._rng
        parents = self._told.codes[self._order()[: self._params.population]]
        picks = rng.integers(len(parents), size=(2, 2, count)).min(axis=0)
        first, second = parents[picks[0]], parents[picks[1]]
        crossed = rng.random(count)[:, None] < self._params.crossover
        children = np.where(crossed, space.crossover(first, second, rng), first)
        # At least one change is expected, or most children of few genes were copies.
        children = space.mutate(children, max(self._params.mutation, 1 / space.width), rng)
        broken = ~meets_limits(costs, children)
        children[broken] = repaired(space, costs, children[broken], first[broken], rng)
        # A foreign result may break a known limit, and so may what was repaired towards it.
        return self._draws.new(children)

    def _order(self) -> NDArray[np.int64]:
        """Told candidates from the best to the worst."""
        told = self._told
        objectives = told.values.shape[1]
        if objectives > 1:
            return best_first(told.values, [False] * objectives, told.violation)
        quality = np.where(told.violation > 0, 0.0, told.values[:, 0])
        return np.lexsort((use_of_limits(self._problem, told.codes), quality, told.violation))
