"""Vectorised evolution on a known score, to find candidates without evaluating any."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.search.sampler import Codes
from stillhouse.core.space import Space

_PARENTS: Final = 64
_CHILDREN: Final = 256
_STALLED: Final = 10

Score = Callable[[Codes], NDArray[np.float64]]
"""A number to be minimised for each candidate, (candidates,); infinite for the hopeless."""


@final
class Descent:
    """Minimises a score over a space; elitist, and bounded by a budget of candidates."""

    def __init__(self, space: Space, score: Score, rng: np.random.Generator, budget: int) -> None:
        self.examined = 0
        """Candidates scored so far."""
        self._space = space
        self._score = score
        self._rng = rng
        self._budget = budget

    def run(self, start: Codes, hits: int | None) -> Codes:
        """The best candidates found, best first, (n, width).

        Ends when `hits` of them score 0 or less (None: never), when ten rounds in a row bring
        nothing, or when the budget is spent.
        """
        best, scores = self._best(start)
        stalled = 0
        while stalled < _STALLED and self.examined < self._budget:
            if hits is not None and (scores <= 0).sum() >= min(hits, _PARENTS):
                break
            family = np.concatenate([best, self._children(best)])
            best, after = self._best(family, kept=len(best))
            stalled = 0 if _better(after, scores) else stalled + 1
            scores = after
        return best

    def _best(self, codes: Codes, kept: int = 0) -> tuple[Codes, NDArray[np.float64]]:
        codes = self._space.unique(codes)
        self.examined += len(codes) - kept
        scores = self._score(codes)
        order = np.argsort(scores, kind="stable")[:_PARENTS]
        return codes[order], scores[order]

    def _children(self, best: Codes) -> Codes:
        """Mutants, crossings, and every single step from the best candidate."""
        rng, space = self._rng, self._space
        parents = rng.choice(best, size=_CHILDREN)
        crossed = space.crossover(parents, rng.choice(best, size=_CHILDREN), rng)
        gentle = space.mutate(parents, min(1.0, 2.0 / space.width), rng)
        bold = space.mutate(crossed, 0.15, rng)
        return np.concatenate([gentle, crossed, bold, space.neighbours(best[0])])


def _better(after: NDArray[np.float64], before: NDArray[np.float64]) -> bool:
    return len(after) > len(before) or bool((after < before).any())
