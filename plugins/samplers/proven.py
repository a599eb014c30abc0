"""Candidates in the order of known objectives: the best, the next best; the Pareto front."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Final, final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.cost.proof import bounds
from stillhouse.core.search import Codes, Problem, crowding, meets_limits, ranks
from stillhouse.core.search.exact import Solution, Within, best_first, minimise
from stillhouse.core.search.separable import Separable

Array = NDArray[np.float64]

_FEWEST: Final = 16
_RANKED: Final = 4096
_STATES: Final = 1 << 18
_TOUCH: Final = 1e-6
"""Weight of the other objectives beside one that is minimised, so that the point is efficient."""


class Source(ABC):
    """Candidates, best first; each call brings more, until `ended`."""

    ended: bool = False

    @abstractmethod
    def more(self, count: int) -> Codes:
        """Further candidates, (n, width), about `count`; some may have come before."""

    @abstractmethod
    def note(self) -> str:
        """What is proven about the candidates so far."""


def values_of(problem: Problem, codes: Codes) -> Array:
    """Objectives to be minimised, (n, objectives), from the known costs."""
    table = problem.costs.table(codes)
    return np.stack([o.sign * table[o.name] for o in problem.objectives], axis=1)


@final
class Enumerated(Source):
    """All candidates of a small space, by front and crowding."""

    def __init__(self, problem: Problem, everything: Codes) -> None:
        self._codes = everything[meets_limits(problem.costs, everything)]
        self._problem = problem

    def more(self, count: int) -> Codes:
        self.ended = True
        values = values_of(self._problem, self._codes)
        if values.shape[1] == 1:
            return self._codes[np.argsort(values[:, 0], kind="stable")]
        rank = ranks(values, [False] * values.shape[1])
        return self._codes[np.lexsort((-crowding(values, rank), rank))]

    def note(self) -> str:
        return f"exact: all {len(self._codes):,} candidates within the limits were compared"


def known_names(problem: Problem) -> list[str]:
    """Objectives, then the other costs that carry a limit."""
    names = [objective.name for objective in problem.objectives]
    return list(dict.fromkeys([*names, *(limit.cost for limit in problem.costs.limits)]))


@final
class _Solved:
    """What the sources of large spaces share: the problem's limits and its measured candidates."""

    def __init__(self, problem: Problem, model: Separable) -> None:
        names = known_names(problem)
        self.problem, self.model = problem, model
        self.low, self.high = bounds(names, problem.costs.limits)
        self.signs = np.array([objective.sign for objective in problem.objectives])
        apart = problem.costs.apart
        self.apart = np.empty((0, problem.space.width)) if apart is None else apart
        self.apart = self.apart[meets_limits(problem.costs, self.apart)]

    def meets(self, codes: Codes) -> NDArray[np.bool_]:
        """The limits' own verdict; the costs of measured candidates follow no table."""
        known = np.isin(self.problem.space.marks(codes), self.problem.space.marks(self.apart))
        return meets_limits(self.problem.costs, codes) & ~known

    def weights(self, of_objectives: Array) -> Array:
        """Weights of all functions from those of the objectives."""
        out = np.zeros(len(self.low))
        out[: len(self.signs)] = of_objectives * self.signs
        return out


@final
class BestFirst(Source):
    """One objective: candidates in its order, twice as many each time."""

    def __init__(self, problem: Problem, model: Separable) -> None:
        self._solved = _Solved(problem, model)
        self._wanted, self._proven = 0, 0
        self._best: Solution | None = None

    def more(self, count: int) -> Codes:
        solved, weights = self._solved, self._solved.weights(np.ones(1))
        within = Within(solved.low, solved.high, solved.meets)
        if self._best is None:
            self._best = minimise(solved.model, weights, within)
        self._wanted = max(_FEWEST, count, 2 * self._wanted)
        found, values, self._proven = best_first(
            solved.model, weights, within, self._wanted, _STATES
        )
        self.ended = len(found) < self._wanted or self._wanted >= _RANKED
        if self._best.codes is not None:
            found = np.concatenate([self._best.codes[None], found])
        found = np.concatenate([found, self._apart(np.inf if self.ended else values[-1])])
        found = solved.problem.space.unique(found)
        return found[np.argsort(values_of(solved.problem, found)[:, 0], kind="stable")]

    def _apart(self, most: float) -> Codes:
        """Measured candidates of a value of at most `most`, the last that was solved for."""
        apart = self._solved.apart
        return apart[values_of(self._solved.problem, apart)[:, 0] <= most]

    def note(self) -> str:
        if self._best is None or not self._best.exact:
            return "exact: the best candidate found is not proven to be the best"
        return f"exact: the first {max(self._proven, 1):,} candidates are proven to be the best"


@final
class Frontier(Source):
    """Several objectives: up to `points` points of the Pareto front, ends first.

    One objective is minimised while the others may be no worse than bounds that move (the
    epsilon-constraint method: Haimes, Lasdon and Wismer, 1971). For two objectives the widest gap
    is halved, for more the bounds are drawn at random between the ends.
    """

    def __init__(self, problem: Problem, model: Separable, points: int) -> None:
        self._solved = _Solved(problem, model)
        self._scale = model.scale[: len(problem.objectives)]
        self._points, self._tried, self._exact = points, 0, True
        self._rng = np.random.default_rng([problem.seed, 13])
        self._found = np.empty((0, problem.space.width))
        self._range: tuple[Array, Array] | None = None
        self._gaps: list[tuple[float, float]] = []

    def more(self, count: int) -> Codes:
        if self._range is None:
            return self._ends()
        before = len(self._found)
        while len(self._found) < before + count and not self.ended:
            if len(self._range[0]) == 2:
                self._halve()
            else:
                low, high = self._range
                self._solve(0, low + self._rng.random(len(low)) * (high - low))
            self._tried += 1
            self.ended |= len(self._found) >= self._points or self._tried >= 4 * self._points
        return self._found[before:]

    def note(self) -> str:
        proven = "" if self._exact else ", not all of them proven"
        return f"exact: {len(self._found):,} points of the Pareto front{proven}"

    def _ends(self) -> Codes:
        """The best candidate of each objective alone."""
        for j in range(len(self._solved.signs)):
            self._solve(j, np.full(len(self._solved.signs), np.inf))
        solved = self._solved
        self._found = solved.problem.space.unique(np.concatenate([self._found, solved.apart]))
        self.ended = not len(self._found)
        if not self.ended:
            values = values_of(solved.problem, self._found)
            self._range = values.min(axis=0), values.max(axis=0)
            self._gaps = [(float(self._range[0][1]), float(self._range[1][1]))]
        return self._found

    def _halve(self) -> None:
        """Look for a point within the widest gap of the second objective."""
        self._gaps.sort(key=lambda gap: (gap[0] - gap[1], gap))
        first, last = self._gaps.pop(0) if self._gaps else (0.0, 0.0)
        middle = (first + last) / 2
        if not first < middle < last:
            self.ended = True
            return
        value = self._solve(0, np.array([np.inf, middle]))
        # Nothing lies between the point that was found and the middle.
        self._gaps += [(middle, last), (first, value)] if value > first else [(middle, last)]

    def _solve(self, objective: int, most: Array) -> float:
        """Add the point that is least in one objective and in no other above `most`.

        Returns its second objective; minus infinity when there is none.
        """
        solved, count = self._solved, len(most)
        low, high = solved.low.copy(), solved.high.copy()
        down = solved.signs < 0
        high[:count] = np.where(down, high[:count], np.minimum(high[:count], most))
        low[:count] = np.where(down, np.maximum(low[:count], -most), low[:count])
        shares = np.where(np.arange(count) == objective, 1.0, _TOUCH)
        weights = solved.weights(shares / np.where(self._scale > 0, self._scale, 1.0))
        found = minimise(solved.model, weights, Within(low, high, solved.meets), most=_STATES)
        self._exact &= found.exact
        if found.codes is None:
            return -np.inf
        row = found.codes[None]
        if not (self._found == row).all(axis=1).any():
            self._found = np.concatenate([self._found, row])
        return float(values_of(solved.problem, row)[0, 1])
