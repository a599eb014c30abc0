"""Medoids: the member of a cluster that is least distant from all its members."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from stillhouse.core.search.clustering.distances import Array, Numbers

TIE: Final = 1e-12
"""Of the larger costs compared: sums that differ by less differ by the order of their terms."""


def first_least(costs: Array, scale: float) -> int:
    """The place of the least of costs (candidates,) of about `scale`; ties go to the first."""
    return int((costs <= costs.min() + TIE * scale).argmax())


def nearest(distances: Array, layers: Sequence[int]) -> Numbers:
    """Which of the given layers each layer is nearest to, (layers,); ties go to the first.

    Each of the given ones is its own, also where another is at distance 0: none stays empty.
    """
    labels: Numbers = distances[:, list(layers)].argmin(axis=1)
    labels[list(layers)] = np.arange(len(layers))
    return labels


def members(labels: Numbers) -> Iterator[Numbers]:
    """The layers of each cluster, increasing."""
    return (np.flatnonzero(labels == label) for label in range(int(labels.max()) + 1))


def medoid(distances: Array, own: Numbers) -> int:
    """Of the given layers; ties go to the first."""
    costs = distances[np.ix_(own, own)].sum(axis=0)
    return int(own[first_least(costs, float(costs.max()))])


def cost(distances: Array, labels: Numbers) -> float:
    """Summed distance of layers to their cluster's medoid."""
    medoids = np.array([medoid(distances, own) for own in members(labels)])
    return float(distances[np.arange(len(labels)), medoids[labels]].sum())
