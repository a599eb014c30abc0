"""Exact k-medoids: every set of medoids tried."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import chain, combinations, islice
from typing import Final

import numpy as np

from stillhouse.core.errors import UserError
from stillhouse.core.search.clustering.distances import Array, Numbers
from stillhouse.core.search.clustering.medoids import TIE, first_least, nearest

MOST: Final = 10**6
"""Sets of medoids that are enumerated: seconds on one core."""
_CELLS: Final = 1 << 18
"""Of the largest array; 2 MiB, which stays in a core's cache."""


def enumerable(count: int, k: int) -> bool:
    """Whether k of `count` layers can be chosen in at most `MOST` ways."""
    return math.comb(count, k) <= MOST


def exact(distances: Array, k: int) -> Numbers:
    """Labels (layers,) of the k medoids of least cost, the lexicographically first among ties.

    Raises `UserError` where there are more sets of medoids than `MOST`.
    """
    count = len(distances)
    if not enumerable(count, k):
        raise UserError(
            f"exact: expected at most {MOST:,} ways of choosing medoids, got "
            f"{math.comb(count, k):,} for {k} of {count} layers; use fasterpam or contiguous"
        )
    return nearest(distances, _best(distances, k))


def _best(distances: Array, k: int) -> list[int]:
    scale = float(distances.sum(axis=1).max())
    least, best = math.inf, list(range(k))
    for sets in _blocks(len(distances), k):
        costs = _costs(distances, sets)
        if costs.min() < least - TIE * scale:
            first = first_least(costs, scale)
            least, best = float(costs[first]), sets[first].tolist()
    return best


def _blocks(count: int, k: int) -> Iterator[Numbers]:
    """All sets in lexicographic order, (sets, k) at a time."""
    sets = combinations(range(count), k)
    height = max(1, _CELLS // count)
    while some := tuple(chain.from_iterable(islice(sets, height))):
        yield np.array(some, dtype=np.intp).reshape(-1, k)


def _costs(distances: Array, sets: Numbers) -> Array:
    """Summed distance of all layers to the nearest of each set, (sets,)."""
    least = distances[sets[:, 0]]
    for column in sets.T[1:]:
        np.minimum(least, distances[column], out=least)
    costs: Array = least.sum(axis=1)
    return costs
