"""Evolution on predictions: the best candidates within the limits, none of them evaluated."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.search.feasible import meets_limits
from stillhouse.core.search.front import best_first
from stillhouse.core.search.repair import repaired
from stillhouse.core.search.sampler import Codes, Problem
from stillhouse.core.search.seen import Seen

_POPULATION: Final = (32, 1024)
_CHILDREN: Final = (128, 2048)
_GENERATIONS: Final = 16
_STALLED: Final = 3
_CROSSED: Final = 0.7
_BOLDEST: Final = 6.0
_FRESH: Final = 0.6
_RATES: Final = (1.0, 2.0, 4.0)

Predict = Callable[[Codes], NDArray[np.float64]]
"""Objectives of candidates, (candidates, objectives), all to be minimised."""


def evolve(
    problem: Problem,
    predict: Predict,
    start: Codes,
    rng: np.random.Generator,
    budget: int,
    avoid: Seen | None = None,
) -> Codes:
    """The best candidates within the limits that evolution found, best first, (n, width).

    With several objectives the front comes first. `start` (n, width) are ancestors; those that
    break a limit are left out. Candidates in `avoid` may be ancestors but are never returned.
    About `budget` candidates are predicted, each once. Empty where nothing meets the limits.
    """
    return Evolution(problem, predict, rng, avoid).run(start, budget)


@final
class Evolution:
    """Tournaments, crossover, mutation, repair and elitism, a whole population at once.

    Source of the scheme: Deb et al., NSGA-II, 2002; here no child is seen twice, and one that
    breaks a limit is repaired instead of being thrown away.
    """

    def __init__(
        self, problem: Problem, predict: Predict, rng: np.random.Generator, avoid: Seen | None
    ) -> None:
        self.examined = 0
        """Distinct candidates within the limits that were predicted."""
        self._space, self._costs = problem.space, problem.costs
        self._predict = predict
        self._rng = rng
        self._avoid = Seen() if avoid is None else avoid
        self._seen = Seen()
        self._boldness = 1.0
        self._population = 0
        self._codes = np.empty((0, problem.space.width))
        self._scores = np.empty((0, 1))
        self._retired = self._codes, self._scores

    def run(self, start: Codes, budget: int) -> Codes:
        """See `evolve`."""
        least, most = _POPULATION
        self._population = min(max(int(1.2 * budget**0.5), least), most)
        self._found(start[meets_limits(self._costs, start)])
        least, most = _CHILDREN
        size = min(max(budget // _GENERATIONS, least), most)
        stalled = 0
        while len(self._codes) and self.examined < budget and stalled < _STALLED:
            if self._boldness > _BOLDEST:
                self._restart()
            fresh = self._bred(min(size, max(budget - self.examined, least)))
            stalled = 0 if len(fresh) else stalled + 1
            self._take(fresh)
        self._keep(*self._retired)
        return self._codes[~self._avoid.holds(self._space.marks(self._codes))]

    def _found(self, start: Codes) -> None:
        """The first population: ancestors, and random candidates repaired towards them."""
        drawn = self._space.sample(self._population, self._rng)
        if not len(start):
            drawn = drawn[meets_limits(self._costs, drawn)]
            self._take(drawn[self._unknown(drawn)])
            return
        parents = start[self._rng.integers(len(start), size=len(drawn))]
        self._take(start[self._seen.take(self._space.marks(start))])
        # What is to be avoided must not fill the population: half of the places are new.
        half = self._population // 2
        self._codes, self._scores = self._codes[:half], self._scores[:half]
        self._take(self._mended(drawn, parents))

    def _restart(self) -> None:
        """Another population, of random candidates repaired towards those of this one."""
        parents = self._codes[self._rng.integers(len(self._codes), size=self._population)]
        drawn = self._mended(self._space.sample(self._population, self._rng), parents)
        self._boldness = 1.0
        if len(drawn):
            self._keep(*self._retired)
            self._retired = self._codes, self._scores
            self._codes, self._scores = self._codes[:0], self._scores[:0]
            self._take(drawn)

    def _bred(self, count: int) -> Codes:
        """Up to `count` children within the limits that were not seen before, (n, width)."""
        space, rng = self._space, self._rng
        # The population is sorted, so the lower place wins a tournament.
        picks = rng.integers(len(self._codes), size=(2, 2, count)).min(axis=0)
        parents, children = self._codes[picks[0]], self._codes[picks[0]]
        crossed = int(_CROSSED * count)
        others = self._codes[picks[1, :crossed]]
        children[:crossed] = space.crossover(children[:crossed], others, rng)
        for part, rate in zip(np.array_split(rng.permutation(count), 3), _RATES, strict=True):
            rate = min(0.5, self._boldness * rate / space.width)
            children[part] = space.mutate(children[part], rate, rng)
        fresh = self._mended(children, parents)
        # A population that breeds what is known already has converged: search farther from it.
        few = len(fresh) < _FRESH * count
        self._boldness = min(max(self._boldness * (1.5 if few else 0.9), 1.0), space.width)
        return fresh

    def _mended(self, children: Codes, parents: Codes) -> Codes:
        """The new ones among children, repaired where they break a limit; seen from here on."""
        fresh = self._unknown(children)
        children, parents = children[fresh], parents[fresh]
        met = meets_limits(self._costs, children)
        broken = children[~met], parents[~met]
        mended = repaired(self._space, self._costs, *broken, self._rng)
        return np.concatenate([children[met], mended[self._unknown(mended)]])

    def _unknown(self, codes: Codes) -> NDArray[np.intp]:
        """Places of distinct codes neither seen nor to be avoided; all are seen from here on."""
        marks = self._space.marks(codes)
        fresh = self._seen.take(marks)
        return fresh[~self._avoid.holds(marks[fresh])]

    def _take(self, codes: Codes) -> None:
        """Predict, and keep the best of all."""
        if len(codes):
            self.examined += len(codes)
            self._keep(codes, self._predict(codes))

    def _keep(self, codes: Codes, scores: NDArray[np.float64]) -> None:
        if not len(codes):
            return
        if len(self._codes):
            codes = np.concatenate([self._codes, codes])
            scores = np.concatenate([self._scores, scores])
        order = best_first(scores, [False] * scores.shape[1])[: self._population]
        self._codes, self._scores = codes[order], scores[order]
