"""Candidates that break a limit, made to meet it by giving genes back to a feasible relative."""

from __future__ import annotations

from typing import Final

import numpy as np

from stillhouse.core.search.feasible import meets_limits
from stillhouse.core.search.sampler import Codes, Costs
from stillhouse.core.space import Space

_ROUNDS: Final = 4


def repaired(
    space: Space, costs: Costs, broken: Codes, parents: Codes, rng: np.random.Generator
) -> Codes:
    """As many candidates within the limits, (n, width), for `broken` ones that are not.

    Row by row `parents` (n, width) meet the limits. In each round a candidate takes a random half
    of the genes in which it differs back from its parent, until it meets them too; what does not
    after six rounds becomes its parent. Genes whose condition comes and goes follow
    `Space.crossover`.
    """
    out = broken.copy()
    left = np.arange(len(out))
    for _ in range(_ROUNDS):
        if not len(left):
            return out
        nearer = space.crossover(out[left], parents[left], rng)
        out[left] = nearer
        left = left[~meets_limits(costs, nearer)]
    out[left] = parents[left]
    return out
