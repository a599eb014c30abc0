"""Random search over the configurations that meet the limits."""

from __future__ import annotations

from typing import final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.plugin.params import Params
from stillhouse.core.search import Codes, FeasibleDraws, Problem, Sampler


@final
class Random(Sampler):
    """Uniform over feasible configurations, without repeats."""

    def __init__(self, params: Params, problem: Problem) -> None:
        rng = np.random.default_rng([problem.seed, 1])
        self._draws = FeasibleDraws(problem.space, problem.costs, problem.feasible, rng)

    def ask(self, count: int) -> Codes:
        return self._draws.draw(count)

    def tell(
        self, codes: Codes, values: NDArray[np.float64], excess: NDArray[np.float64] | None = None
    ) -> None:
        self._draws.mark(codes)
