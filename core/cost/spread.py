"""Which candidates to measure, so that a model fitted to them holds over the whole range."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def spread(costs: NDArray[np.float64], count: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Indices of up to `count` candidates spread evenly over their costs, in random order of ties.

    `costs` is (candidates, costs), non-negative, e.g. MACs and operators. The candidates with the
    smallest and the largest product of costs come first, in this order; each further one is the
    farthest from those already chosen (Gonzalez 1985), with logarithms of costs scaled to 0..1 as
    coordinates. Candidates of equal costs are chosen once.
    """
    if not len(costs) or count < 1:
        return np.empty(0, np.intp)
    order = rng.permutation(len(costs))
    points = _scaled(costs[order])
    total = points.sum(axis=1)
    chosen = [int(total.argmin())]
    distance = _distance(points, chosen[0])
    following = int(total.argmax())
    while len(chosen) < count and distance[following] > 0:
        chosen.append(following)
        np.minimum(distance, _distance(points, following), out=distance)
        following = int(distance.argmax())
    return order[chosen]


def _scaled(costs: NDArray[np.float64]) -> NDArray[np.float64]:
    logs = np.log1p(costs)
    low = logs.min(axis=0)
    span = np.ptp(logs, axis=0)
    return np.asarray((logs - low) / np.where(span > 0, span, 1.0), np.float64)


def _distance(points: NDArray[np.float64], index: int) -> NDArray[np.float64]:
    return np.asarray(((points - points[index]) ** 2).sum(axis=1), np.float64)
