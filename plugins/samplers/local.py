"""Local search: what lies one step from the best candidates known."""

from __future__ import annotations

from typing import final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.plugin.params import Params
from stillhouse.core.search import Codes, FeasibleDraws, Problem, Sampler, best_first, on_front
from stillhouse.core.search.seen import Seen


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
        self._signs = np.array([objective.sign for objective in problem.objectives])
        self._codes = np.empty((0, problem.space.width))
        self._values = np.empty((0, len(problem.objectives)))
        self._violation = np.empty(0)
        self._exhausted = Seen()
        """Parents without a new neighbour."""

    def ask(self, count: int) -> Codes:
        out = np.empty((0, self._problem.space.width))
        marks = self._problem.space.marks(self._codes)
        for parent in np.flatnonzero(~self._exhausted.holds(marks)):
            around = self._problem.space.neighbours(self._codes[parent])
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
        over = np.zeros((len(codes), 0)) if excess is None else excess
        sound = np.isfinite(values).all(axis=1) & np.isfinite(over).all(axis=1)
        self._codes = np.concatenate([self._codes, codes[sound]])
        self._values = np.concatenate([self._values, values[sound] * self._signs])
        broken = np.maximum(over[sound], 0.0).sum(axis=1)
        self._violation = np.concatenate([self._violation, broken])
        self._keep_front()

    def _keep_front(self) -> None:
        """Only what no other beats may be a parent, the best first."""
        minimal = [False] * len(self._signs)
        order = best_first(self._values, minimal, self._violation)
        codes, values, broken = self._codes[order], self._values[order], self._violation[order]
        least = broken == broken.min(initial=np.inf)
        front = least & on_front(np.where(least[:, None], values, np.nan), minimal)
        self._codes, self._values, self._violation = codes[front], values[front], broken[front]
