"""Clusters that are runs of neighbouring layers, by dynamic programming over depth."""

from __future__ import annotations

import numpy as np

from stillhouse.core.search.clustering.distances import Array, Numbers
from stillhouse.core.search.clustering.spacing import runs_to


def contiguous(distances: Array, k: int) -> Numbers:
    """Labels (layers,) of the k runs of least cost among all partitions into runs.

    O(layers^2 k) once the runs' own costs are known. Among ties the last run starts earliest, then
    the one before it.
    """
    runs, count = _runs(distances), len(distances)
    least = runs[0]
    starts = np.zeros((k, count), dtype=np.intp)
    for run in range(1, k):
        split = np.full((count, count), np.inf)
        split[1:] = least[:-1, None] + runs[1:]
        starts[run], least = split.argmin(axis=0), split.min(axis=0)
    return runs_to(_ends(starts))


def _ends(starts: Numbers) -> list[int]:
    """The last layer of each run; `starts` (runs, layers) is where a run ending there begins."""
    ends = [starts.shape[1] - 1]
    for run in reversed(starts[1:]):
        ends.append(int(run[ends[-1]]) - 1)
    return ends[::-1]


def _runs(distances: Array) -> Array:
    """Cost of the run from layer i to layer j around its medoid, (layers, layers); inf for j < i.

    O(layers^3), in `layers` array operations.
    """
    count = len(distances)
    costs = np.full((count, count), np.inf)
    for first in range(count):
        reached = distances[first:, first:].cumsum(axis=1)
        reached[np.tril_indices(count - first, -1)] = np.inf
        costs[first, first:] = reached.min(axis=0)
    return costs
