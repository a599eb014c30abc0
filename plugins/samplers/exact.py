"""Exact solving of problems in which nothing needs to be measured."""

from __future__ import annotations

from typing import Final, final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.cost.proof import modelled
from stillhouse.core.errors import UserError
from stillhouse.core.search import Codes, FeasibleDraws, Problem, Sampler
from stillhouse.core.search.enumeration import enumerated
from stillhouse.core.search.separable import Separable
from stillhouse.plugins.samplers.info import ExactParams
from stillhouse.plugins.samplers.proven import BestFirst, Enumerated, Frontier, Source, known_names

_PROBES: Final = 1 << 17


def solvable(problem: Problem) -> str | None:
    """None when the `exact` sampler applies, else why it does not."""
    found = _source(ExactParams(), problem)
    return found if isinstance(found, str) else None


@final
class Exact(Sampler):
    """The proven best candidates first, where objectives and limits are known beforehand.

    One objective: the best, the next best, and so on. Several: points of the Pareto front, its
    ends first. A space of at most 20,000 configurations is enumerated; in a larger one objectives
    and limits must be sums over genes. Candidates after these are drawn at random. Raises
    `UserError` for other problems.
    """

    def __init__(self, params: ExactParams, problem: Problem) -> None:
        found = _source(params, problem)
        if isinstance(found, str):
            raise UserError(
                f"sampler 'exact': {found}; use another sampler, such as 'evolution', or 'auto'"
            )
        rng = np.random.default_rng([problem.seed, 12])
        self._draws = FeasibleDraws(problem.space, problem.costs, problem.feasible, rng)
        self._queue = np.empty((0, problem.space.width))
        self._source = found

    def ask(self, count: int) -> Codes:
        self._queue = self._draws.unseen(self._queue)
        while len(self._queue) < count and not self._source.ended:
            self._queue = np.concatenate([self._queue, self._source.more(count)])
            self._queue = self._draws.new(self._queue)
        out, self._queue = self._queue[:count], self._queue[count:]
        self._draws.mark(out)
        self.notes = (self._source.note(),)
        if len(out) < count:
            rest = self._draws.draw(count - len(out))
            self.fallbacks += len(rest)
            out = np.concatenate([out, rest])
        return out

    def tell(
        self, codes: Codes, values: NDArray[np.float64], excess: NDArray[np.float64] | None = None
    ) -> None:
        self._draws.mark(codes)


def _source(params: ExactParams, problem: Problem) -> Source | str:
    """Where the candidates come from, or why they cannot be found exactly."""
    costs, space = problem.costs, problem.space
    if problem.outcomes:
        return f"limits on measured values ({', '.join(problem.outcomes)}) need evaluations"
    known = costs.table(space.corners()[:1])
    measured = [o.name for o in problem.objectives if o.name not in known]
    if measured:
        return f"'{measured[0]}' is measured, not computed beforehand"
    everything = enumerated(space)
    if everything is not None:
        return Enumerated(problem, everything)
    if costs.limited and not costs.limits:
        return f"the limits on {', '.join(costs.limited)} are judged, but not stated as bounds"
    model = _model(problem)
    if isinstance(model, str):
        return model
    if len(problem.objectives) == 1:
        return BestFirst(problem, model)
    return Frontier(problem, model, params.points)


def _model(problem: Problem) -> Separable | str:
    """Objectives and limited costs as tables."""
    names = known_names(problem)
    rng = np.random.default_rng([problem.seed, 11])
    found = modelled(problem.space, problem.costs, names, rng, _PROBES)
    if found is None:
        return f"not all of {', '.join(names)} are sums over genes"
    return found
