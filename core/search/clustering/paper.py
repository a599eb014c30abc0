"""The published clustering: k-means whose centroids are layer numbers (arXiv:2103.00053)."""

from __future__ import annotations

from typing import Final

import numpy as np

from stillhouse.core.search.clustering.distances import Array, Numbers
from stillhouse.core.search.clustering.medoids import members, nearest

ITERATIONS: Final = 80


def paper(distances: Array, k: int) -> Numbers:
    """Labels (layers,) by index means: from even spacing to a fixed point, or 80 iterations.

    A layer joins the nearest centroid by distance; a centroid moves to the member whose number is
    nearest to the integer mean of the members' numbers. Three clusters start at the first, the
    centre and the last layer.
    """
    centroids = _start(len(distances), k)
    for _ in range(ITERATIONS):
        labels = nearest(distances, centroids)
        moved = [index_mean(own) for own in members(labels)]
        if moved == centroids:
            break
        centroids = moved
    return nearest(distances, centroids)


def index_mean(own: Numbers) -> int:
    """The member nearest in number to the integer mean of the members' numbers."""
    return int(own[np.abs(own - int(own.sum()) // len(own)).argmin()])


def _start(count: int, k: int) -> list[int]:
    if k == 1:
        return [(count - 1) // 2]
    return [i * (count - 1) // (k - 1) for i in range(k)]
