"""Evolution over the configurations that meet the limits."""

from __future__ import annotations

from typing import Final, final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.search import (
    Codes,
    FeasibleDraws,
    Problem,
    Rows,
    Sampler,
    best_few,
    best_first,
    meets_limits,
    repaired,
)
from stillhouse.plugins.samplers.design import first_design, limited_costs, use_of
from stillhouse.plugins.samplers.info import EvolutionParams
from stillhouse.plugins.samplers.told import Told

_SURPLUS: Final = 4
"""Children bred for each one that is needed: some are known already."""

_ARCHIVE: Final = 4096
"""Candidates that parents are chosen from; more are forgotten when there are twice as many."""


@final
class Evolution(Sampler):
    """Non-dominated sorting, tournaments, crossover, mutation, and repair by known costs.

    With one objective, equal quality is decided by the cheaper candidate. Source of the ranking:
    Deb et al., NSGA-II, 2002: a candidate that breaks a limit on a measured value comes after all
    that break none, whatever its quality. Children that break a known limit are repaired. Of very
    many candidates only the best are remembered as possible parents.
    """

    def __init__(self, params: EvolutionParams, problem: Problem) -> None:
        self._params = params
        self._problem = problem
        self._rng = np.random.default_rng([problem.seed, 2])
        self._draws = FeasibleDraws(problem.space, problem.costs, problem.feasible, self._rng)
        self._told = Told(problem.space.width, problem.objectives)
        self._spent: Rows | None = None
        self._design: Codes | None = None

    def ask(self, count: int) -> Codes:
        out = self._from_design(count)
        if len(out) < count and len(self._told) > 1:
            out = np.concatenate([out, self._children(count - len(out))])
        if len(out) < count:
            out = np.concatenate([out, self._draws.draw(count - len(out))])
        return out

    def tell(
        self, codes: Codes, values: NDArray[np.float64], excess: NDArray[np.float64] | None = None
    ) -> None:
        self._draws.mark(codes)
        for start in range(0, len(codes), _ARCHIVE):
            some = slice(start, start + _ARCHIVE)
            self._learn(codes[some], values[some], None if excess is None else excess[some])

    def _learn(
        self, codes: Codes, values: NDArray[np.float64], excess: NDArray[np.float64] | None
    ) -> None:
        sound = self._told.add(codes, values, excess)
        if len(self._problem.objectives) == 1:
            spent = limited_costs(self._problem, codes[sound])
            if self._spent is None:
                self._spent = Rows(spent.shape[1])
            self._spent.add(spent)
        if len(self._told) > 2 * max(_ARCHIVE, self._params.population):
            self._forget()

    def _forget(self) -> None:
        """Only the best from here on, in the order that they were told in."""
        best = np.sort(self._best(max(_ARCHIVE, self._params.population)))
        self._told.keep(best)
        if self._spent is not None:
            self._spent.keep(best)

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
        parents = self._told.codes[self._best(self._params.population)]
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

    def _best(self, count: int) -> NDArray[np.int64]:
        """Up to `count` told candidates, the best first."""
        told = self._told
        if self._spent is None:
            minimal = [False] * told.values.shape[1]
            if count < len(told) // 4:
                return best_few(told.values, minimal, count, told.violation)
            return best_first(told.values, minimal, told.violation)[:count]
        quality = np.where(told.violation > 0, 0.0, told.values[:, 0])
        use, some = use_of(self._spent.all), np.arange(len(told))
        sound = np.flatnonzero(told.violation == 0)
        if count < len(sound):
            # The order of the others is of no interest, and takes most of the time.
            last = np.partition(quality[sound], count - 1)[count - 1]
            some = sound[quality[sound] <= last]
        order = np.lexsort((use[some], quality[some], told.violation[some]))
        return np.asarray(some[order[:count]])
