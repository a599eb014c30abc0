"""The first candidates of a search: feasible, and spread over what the limits leave."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.search import Codes, FeasibleDraws, Problem


def use_of_limits(problem: Problem, codes: Codes) -> NDArray[np.float64]:
    """How expensive candidates are beside each other; see `use_of`."""
    return use_of(limited_costs(problem, codes))


def limited_costs(problem: Problem, codes: Codes) -> NDArray[np.float64]:
    """The limited costs (all known ones when none is limited), (candidates, costs)."""
    table = problem.costs.table(codes)
    names = problem.costs.limited or tuple(table)
    columns = [np.asarray(table[name], dtype=np.float64) for name in names]
    return np.stack(columns, axis=1) if columns else np.empty((len(codes), 0))


def use_of(costs: NDArray[np.float64]) -> NDArray[np.float64]:
    """How expensive candidates are beside each other, 0 to 1, (candidates,).

    The mean over costs (candidates, costs) of each candidate's place between the cheapest and the
    dearest one given; one that is not finite is the dearest.
    """
    total = np.zeros(len(costs))
    for cost in costs.T:
        finite = cost[np.isfinite(cost)]
        spread = finite.max() - finite.min() if len(finite) else 0.0
        if spread > 0:
            total += (np.where(np.isfinite(cost), cost, finite.max()) - finite.min()) / spread
    total /= max(costs.shape[1], 1)
    return total


def first_design(
    problem: Problem, draws: FeasibleDraws, count: int, rng: np.random.Generator
) -> Codes:
    """Up to `count` feasible candidates in random order, (n, width), not marked as seen.

    Half of them are spread evenly from the cheapest to the dearest, half are among the dearest
    tenth: quality mostly grows with cost, so the best candidates lie near the limits.
    """
    pool = draws.unseen(np.concatenate([problem.feasible, draws.pool(32 * count)]))
    pool = pool[rng.permutation(len(pool))]
    if len(pool) <= count:
        return pool
    use = use_of_limits(problem, pool)
    dearest = np.argsort(use, kind="stable")
    steps = np.linspace(use.min(), use.max(), count - count // 2)
    spread = np.unique(np.minimum(np.searchsorted(use[dearest], steps), len(pool) - 1))
    tail = np.setdiff1d(np.arange(int(0.9 * len(pool)), len(pool)), spread)
    near = rng.permutation(tail)[: count - len(spread)]
    chosen: Codes = pool[dearest[rng.permutation(np.concatenate([spread, near]))]]
    return chosen
