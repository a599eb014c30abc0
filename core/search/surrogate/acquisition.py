"""How much an evaluation promises: expected improvement, and its hypervolume for several."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Final, final

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr, ndtr

Array = NDArray[np.float64]
Places = NDArray[np.int64]

_ROOT = np.sqrt(2.0 * np.pi)
_SURE: Final = 40.0
"""Deviations beyond which a normal value is as good as known."""


def log_improvement(mean: Array, spread: Array, best: float) -> Array:
    """Logarithm of the expected improvement below `best`, (n,); stable far from it.

    Source: Ament et al., "Unexpected improvements to expected improvement", 2023, equation 9.
    """
    z = (best - mean) / spread
    density = np.exp(-0.5 * z * z) / _ROOT
    plain = np.log(np.maximum(z * ndtr(z) + density, 1e-300))
    # phi(z) + z Phi(z) ~ phi(z) / z^2 (1 - 3 / z^2 + 15 / z^4) for z far below 0
    least = 1.0 / np.maximum(z * z, 144.0)
    far = -0.5 * z * z + np.log(least / _ROOT) + np.log1p(least * (15.0 * least - 3.0))
    total: Array = np.where(z > -12.0, plain, far) + np.log(spread)
    return total


def log_chance(mean: Array, spread: Array, bound: Array) -> Array:
    """Logarithm of the chance that all outcomes (n, outcomes) are at most `bound`, (n,)."""
    total: Array = log_ndtr((bound - mean) / spread).sum(axis=1)
    return total


@final
@dataclass(frozen=True, eq=False)
class Regions:
    """What no point of a front dominates, up to a reference, as disjoint boxes.

    `edges[j]` are the bounds along objective j, the first minus infinity; `lower` and `upper`
    (boxes, objectives) index them.
    """

    edges: tuple[Array, ...]
    lower: Places
    upper: Places

    @staticmethod
    def beyond(front: Array, reference: Array) -> Regions:
        """Boxes for a front (points, objectives), all minimised; points past the reference drop.

        Slices along the last objective, recursively: at most points^(objectives - 1) boxes.
        """
        inside = front[(front < reference).all(axis=1)]
        edges = tuple(
            np.unique(np.concatenate([[-np.inf], inside[:, j], [reference[j]]]))
            for j in range(len(reference))
        )
        places = np.stack(
            [np.searchsorted(edge, inside[:, j]) for j, edge in enumerate(edges)], axis=1
        )
        cells = _cells(places, [len(edge) - 1 for edge in edges])
        box = np.array(cells, dtype=np.int64).reshape(-1, 2, len(reference))
        return Regions(edges, box[:, 0], box[:, 1])


def _cells(points: Places, last: list[int]) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Boxes of the undominated cells as index bounds, for points (n, objectives)."""
    at = len(last) - 1
    if at == 0:
        top = int(points[:, 0].min()) if len(points) else last[0]
        return [((0,), (top,))] if top > 0 else []
    cuts = [0, *sorted(set(points[:, at].tolist())), last[at]]
    out = []
    for low, high in pairwise(cuts):
        if low < high:
            below = _cells(points[points[:, at] <= low][:, :at], last[:at])
            out += [((*a, low), (*b, high)) for a, b in below]
    return out


def expected_volume(mean: Array, spread: Array, regions: Regions) -> Array:
    """Expected hypervolume improvement, (n,), of independent normal values (n, objectives).

    The volume that y adds to a box is the product over objectives of (upper - max(lower, y))+;
    its expectation is the product of differences of psi(e) = E(e - y)+. Exact for any number of
    objectives; a spread of 0 is a known value. Source: Yang et al., "Efficient computation of
    expected hypervolume improvement using box decomposition algorithms", 2019.
    """
    total = np.ones((len(mean), len(regions.lower)))
    for j, edges in enumerate(regions.edges):
        below = _below(edges, mean[:, j], spread[:, j])
        part = below[:, regions.upper[:, j]] - below[:, regions.lower[:, j]]
        total *= np.maximum(part, 0.0, out=part)
    summed: Array = total.sum(axis=1)
    return summed


def _below(edges: Array, mean: Array, spread: Array) -> Array:
    """E(edge - y)+ for each y and edge, (n, edges)."""
    gap = np.where(np.isfinite(edges), edges, 0.0)[None] - mean[:, None]
    scale = np.maximum(spread, 1e-300)[:, None]
    z = np.clip(gap / scale, -_SURE, _SURE)
    smooth = scale * (z * ndtr(z) + np.exp(-0.5 * z * z) / _ROOT)
    out = np.where(z < _SURE, smooth, gap)
    out[:, ~np.isfinite(edges)] = 0.0
    return out
