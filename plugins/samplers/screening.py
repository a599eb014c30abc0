"""Which of many feasible children deserve an evaluation, judged by a surrogate."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.search import Codes, Problem, ranks
from stillhouse.plugins.samplers.surrogate import fit

_MOST: Final = 300
Values = NDArray[np.float64]


def screened(
    problem: Problem,
    codes: Codes,
    values: Values,
    children: Codes,
    count: int,
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """Places of up to `count` promising `children`, distinct.

    `codes` (n, width) and `values` (n, objectives, all minimised) are what is known. Each place
    is filled by another mix of objectives (random augmented Chebyshev weights, Knowles, "ParEGO",
    2006) and another share of optimism about the uncertain.
    """
    if len(children) <= count:
        return np.arange(len(children))
    kept = _informative(values)
    model = fit(problem.space.encoding(codes[kept]), values[kept])
    mean, spread = model.predict(problem.space.encoding(children))
    _exact(problem, children, mean, spread)
    low, high = values.min(axis=0), values.max(axis=0)
    scale = np.where(high > low, high - low, 1.0)
    chosen: list[int] = []
    open_places = np.ones(len(children), dtype=np.bool_)
    for optimism in np.abs(rng.standard_normal(count)):
        guess = (mean - optimism * spread - low) / scale
        weights = rng.dirichlet(np.ones(values.shape[1]))
        score = (guess * weights).max(axis=1) + 0.05 * (guess * weights).sum(axis=1)
        best = int(np.argmin(np.where(open_places, score, np.inf)))
        open_places[best] = False
        chosen.append(best)
    return np.array(chosen, dtype=np.int64)


def _informative(values: Values) -> NDArray[np.int64]:
    """All results, or when there are many the best half and the latest half of `_MOST`."""
    if len(values) <= _MOST:
        return np.arange(len(values))
    best = np.argsort(ranks(values, [False] * values.shape[1]), kind="stable")[: _MOST // 2]
    return np.union1d(best, np.arange(len(values) - _MOST // 2, len(values)))


def _exact(problem: Problem, children: Codes, mean: Values, spread: Values) -> None:
    """Put known costs in the place of estimates, for objectives that are costs."""
    table = problem.costs.table(children)
    for j, objective in enumerate(problem.objectives):
        if objective.name in table:
            mean[:, j] = objective.sign * table[objective.name]
            spread[:, j] = 0.0
