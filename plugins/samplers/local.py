"""Local search: what lies one step from the best candidates known."""

from __future__ import annotations

from typing import final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.plugin.params import Params
from stillhouse.core.search import Codes, FeasibleDraws, Problem, Sampler, best_first, on_front
from stillhouse.core.search.seen import Seen
from stillhouse.plugins.samplers.told import Told


@final
class Local(Sampler):
    """Evaluates the feasible neighbours of the incumbent front, those of the best parent first.

    A neighbour differs by one step in one discrete gene (`Space.neighbours`); genes on a continuum
    stay as they are in the parent. When every neighbour of the front is known, the next candidate
    is a random feasible one: a restart. A candidate that breaks a limit on a measured value is a
    parent only while none is known that breaks none. Source: local search for neural
    architectures, White et al., UAI 2021.
    """

    def __init__(self, params: Params, problem: Problem) -> None:
        self._problem = problem
        self._rng = np.random.default_rng([problem.seed, 6])
        self._draws = FeasibleDraws(problem.space, problem.costs, problem.feasible, self._rng)
        self._told = Told(problem.space.width, problem.objectives)
        self._exhausted = Seen()
        """Parents without a new neighbour."""

    def ask(self, count: int) -> Codes:
        out = np.empty((0, self._problem.space.width))
        marks = self._problem.space.marks(self._told.codes)
        for parent in np.flatnonzero(~self._exhausted.holds(marks)):
            around = self._problem.space.neighbours(self._told.codes[parent])
            fresh = self._draws.new(self._rng.permutation(around))[: count - len(out)]
            self._draws.mark(fresh)
            out = np.concatenate([out, fresh])
            if len(out) == count:
                return out
            self._exhausted.add(marks[parent : parent + 1])
        return np.concatenate([out, self._draws.draw(count - len(out))])

    def tell(
        self, codes: Codes, values: NDArray[np.float64], excess: NDArray[np.float64] | None = None
    ) -> None:
        self._draws.mark(codes)
        self._told.add(codes, values, excess)
        self._keep_front()

    def _keep_front(self) -> None:
        """Only what no other beats may be a parent, the best first."""
        told = self._told
        minimal = [False] * told.values.shape[1]
        order = best_first(told.values, minimal, told.violation)
        values, broken = told.values[order], told.violation[order]
        least = broken == broken.min(initial=np.inf)
        front = least & on_front(np.where(least[:, None], values, np.nan), minimal)
        told.keep(order[front])
