"""Pareto fronts, ranks, crowding and hypervolume, for any mix of directions.

A row with a NaN or an infinity is a failed evaluation: it is on no front, ranks last and adds no
volume. `moocore` is imported on use.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
"""Shape (candidates, objectives)."""


def on_front(values: Values, maximize: Sequence[bool]) -> NDArray[np.bool_]:
    """Which rows no other row dominates, (candidates,); equal rows are all on the front."""
    from moocore import is_nondominated

    sound = np.isfinite(values).all(axis=1)
    out = np.zeros(len(values), dtype=np.bool_)
    if sound.any():
        minimal = _minimal(values[sound], maximize)
        out[sound] = is_nondominated(minimal, keep_weakly=True)
    return out


def ranks(values: Values, maximize: Sequence[bool]) -> NDArray[np.int64]:
    """Non-dominated sorting, (candidates,): 0 on the front; failed rows come after all others.

    Source: Deb et al., "A fast and elitist multiobjective genetic algorithm: NSGA-II", 2002.
    """
    from moocore import pareto_rank

    sound = np.isfinite(values).all(axis=1)
    out = np.full(len(values), len(values), dtype=np.int64)
    if sound.any():
        out[sound] = pareto_rank(_minimal(values[sound], maximize))
    return out


def crowding(values: Values, rank: NDArray[np.int64]) -> NDArray[np.float64]:
    """Crowding distance inside each rank, (candidates,); extremes are infinite, failed rows 0.

    Source: Deb et al. 2002, section III-B. Distances are scaled by the range within the rank.
    """
    out = np.zeros(len(values))
    sound = np.isfinite(values).all(axis=1)
    for level in np.unique(rank[sound]):
        members = np.flatnonzero(sound & (rank == level))
        out[members] = sum(_gaps(values[members, j]) for j in range(values.shape[1]))
    return out


def _gaps(column: Values) -> Values:
    order = np.argsort(column, kind="stable")
    spread = column[order[-1]] - column[order[0]]
    gaps = np.full(len(column), np.inf)
    if len(column) > 2:
        inner = column[order[2:]] - column[order[:-2]]
        gaps[order[1:-1]] = inner / spread if spread > 0 else 0.0
    return gaps


def hypervolume(values: Values, reference: Sequence[float], maximize: Sequence[bool]) -> float:
    """Volume dominated up to `reference` (one number an objective, in its own direction)."""
    from moocore import hypervolume as volume

    sound = np.isfinite(values).all(axis=1)
    if not sound.any():
        return 0.0
    corner = _minimal(np.array([reference], dtype=np.float64), maximize)[0]
    return float(volume(_minimal(values[sound], maximize), ref=corner))


def _minimal(values: Values, maximize: Sequence[bool]) -> Values:
    return np.ascontiguousarray(values * np.where(list(maximize), -1.0, 1.0))
