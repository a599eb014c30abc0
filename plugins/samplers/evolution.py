"""Evolution over the configurations that meet the limits: the default sampler."""

from __future__ import annotations

from typing import final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.search import Codes, FeasibleDraws, Problem, Sampler, crowding, ranks
from stillhouse.plugins.samplers.design import first_design, use_of_limits
from stillhouse.plugins.samplers.info import EvolutionParams
from stillhouse.plugins.samplers.screening import screened


@final
class Evolution(Sampler):
    """Non-dominated sorting, tournaments, crossover and mutation; costs filter, a model screens.

    With one objective, equal quality is decided by the cheaper candidate. Source of the ranking:
    Deb et al., NSGA-II, 2002; children are bred in surplus, and only those that meet the limits
    compete, by the surrogate's optimistic estimate, for being evaluated.
    """

    def __init__(self, params: EvolutionParams, problem: Problem) -> None:
        self._params = params
        self._problem = problem
        self._rng = np.random.default_rng([problem.seed, 2])
        self._draws = FeasibleDraws(problem.space, problem.costs, problem.feasible, self._rng)
        self._signs = np.array([objective.sign for objective in problem.objectives])
        self._codes = np.empty((0, problem.space.width))
        self._values = np.empty((0, len(problem.objectives)))
        self._design: Codes | None = None

    def ask(self, count: int) -> Codes:
        out = self._from_design(count)
        if len(out) < count and len(self._codes) > 1:
            out = np.concatenate([out, self._children(count - len(out))])
        if len(out) < count:
            out = np.concatenate([out, self._draws.draw(count - len(out))])
        return out

    def tell(
        self, codes: Codes, values: NDArray[np.float64], excess: NDArray[np.float64] | None = None
    ) -> None:
        self._draws.mark(codes)
        sound = np.isfinite(values).all(axis=1)
        self._codes = np.concatenate([self._codes, codes[sound]])
        self._values = np.concatenate([self._values, values[sound] * self._signs])

    def _from_design(self, count: int) -> Codes:
        if self._design is None:
            self._design = first_design(self._problem, self._draws, self._params.initial, self._rng)
        fresh = self._draws.unseen(self._design)
        out, self._design = fresh[:count], fresh[count:]
        self._draws.mark(out)
        return out

    def _children(self, count: int) -> Codes:
        bred = self._draws.new(self._bred(count * self._params.oversample))
        if self._params.surrogate:
            chosen = screened(self._problem, self._codes, self._values, bred, count, self._rng)
        else:
            chosen = np.arange(min(count, len(bred)))
        self._draws.mark(bred[chosen])
        return bred[chosen]

    def _bred(self, count: int) -> Codes:
        """Children of parents picked by binary tournaments, (count, width)."""
        space, rng = self._problem.space, self._rng
        parents = self._codes[self._order()[: self._params.population]]
        picks = rng.integers(len(parents), size=(2, 2, count)).min(axis=0)
        first, second = parents[picks[0]], parents[picks[1]]
        crossed = rng.random(count)[:, None] < self._params.crossover
        mixed = np.where(crossed, space.crossover(first, second, rng), first)
        return space.mutate(mixed, self._params.mutation, rng)

    def _order(self) -> NDArray[np.int64]:
        """Told candidates from the best to the worst."""
        rank = ranks(self._values, [False] * len(self._signs))
        if len(self._signs) > 1:
            return np.lexsort((-crowding(self._values, rank), rank))
        return np.lexsort((use_of_limits(self._problem, self._codes), rank))
