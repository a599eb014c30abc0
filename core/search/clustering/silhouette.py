"""Silhouettes: how well layers sit in their clusters, and the number of clusters that fits best."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stillhouse.core.errors import UserError
from stillhouse.core.search.clustering.cluster import cluster
from stillhouse.core.search.clustering.distances import Array, Numbers, as_distances


def silhouette(distances: Array, labels: Sequence[int]) -> float:
    """Mean over layers of (b - a) / max(a, b), between -1 and 1 (Rousseeuw 1987).

    `a` is a layer's mean distance to the other members of its cluster, `b` the least mean distance
    to those of another cluster; layers alone in a cluster count 0. Raises `UserError` for fewer
    than two clusters, where nothing is defined.
    """
    distances = as_distances(distances)
    names, own = np.unique(np.asarray(labels), return_inverse=True)
    if len(own) != len(distances):
        raise UserError(f"silhouette: expected {len(distances)} labels, got {len(own)}")
    if len(names) < 2:
        raise UserError("silhouette: expected at least two clusters, got one")
    return float(_widths(distances, own).mean())


def k_by_silhouette(
    distances: Array, low: int, high: int, clusterer: str = "exact", centre: str = "medoid"
) -> int:
    """The k of low to high, both included, whose clusters have the best silhouette.

    The smallest among ties. Raises `UserError` for a low below 2, and as `cluster` does.
    """
    if not 2 <= low <= high:
        raise UserError(
            "k by silhouette: expected a range of k from at least 2 (one cluster has no "
            f"silhouette), got {low} to {high}"
        )
    return max(
        range(low, high + 1),
        key=lambda k: silhouette(distances, cluster(distances, k, clusterer, centre).labels),
    )


def _widths(distances: Array, own: Numbers) -> Array:
    """The silhouette of each layer, (layers,)."""
    member = np.eye(int(own.max()) + 1)[own]
    sizes, layers = member.sum(axis=0), np.arange(len(own))
    total = distances @ member
    within = total[layers, own] / np.maximum(sizes[own] - 1, 1)
    mean = total / sizes
    mean[layers, own] = np.inf
    other = mean.min(axis=1)
    larger = np.maximum(within, other)
    defined = (sizes[own] > 1) & (larger > 0)
    return np.where(defined, (other - within) / np.where(defined, larger, 1.0), 0.0)
