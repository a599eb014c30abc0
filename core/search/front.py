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
    sound = np.flatnonzero(np.isfinite(values).all(axis=1))
    if len(sound):
        out[sound] = sum(_gaps(values[sound, j], rank[sound]) for j in range(values.shape[1]))
    return out


def _gaps(column: Values, rank: NDArray[np.int64]) -> Values:
    """Distance between the neighbours of each value within its rank, all ranks at once."""
    order = np.lexsort((column, rank))
    sorted_values, level = column[order], rank[order]
    new = np.concatenate([[True], level[1:] != level[:-1]])
    last = np.concatenate([new[1:], [True]])
    firsts, lasts = np.flatnonzero(new), np.flatnonzero(last)
    spread = np.repeat(sorted_values[lasts] - sorted_values[firsts], lasts - firsts + 1)
    ahead, behind = np.roll(sorted_values, -1), np.roll(sorted_values, 1)
    inner = np.divide(ahead - behind, spread, out=np.zeros(len(column)), where=spread > 0)
    gaps = np.empty(len(column))
    gaps[order] = np.where(new | last, np.inf, inner)
    return gaps


def best_first(
    values: Values, maximize: Sequence[bool], violation: NDArray[np.float64] | None = None
) -> NDArray[np.int64]:
    """Places of the rows from the best to the worst, (candidates,).

    Rows that break no limit come first, by rank and then by crowding (one objective: by value);
    those with a positive `violation` (candidates,) follow, the smallest first, whatever their
    values; failed rows are last. Source: Deb, "An efficient constraint handling method for genetic
    algorithms", 2000, and Deb et al. 2002, section VI-A.
    """
    sound = np.isfinite(values).all(axis=1)
    over = np.zeros(len(values)) if violation is None else np.maximum(violation, 0.0)
    over = np.where(sound, over, np.inf)
    compared = np.where((over == 0)[:, None], values, np.nan)
    if values.shape[1] == 1:
        return np.lexsort((_minimal(compared, maximize)[:, 0], over))
    rank = ranks(compared, maximize)
    return np.lexsort((-crowding(compared, rank), rank, over))


def best_few(
    values: Values,
    maximize: Sequence[bool],
    count: int,
    violation: NDArray[np.float64] | None = None,
) -> NDArray[np.int64]:
    """The first `count` of `best_first`, or all where there are fewer, without ranking the rest."""
    if values.shape[1] == 1:
        return best_first(values, maximize, violation)[:count]
    sound = np.isfinite(values).all(axis=1)
    over = np.zeros(len(values)) if violation is None else np.maximum(violation, 0.0)
    left = np.flatnonzero(sound & (over == 0))
    found: list[NDArray[np.int64]] = []
    while len(left) and count > 0:
        front = on_front(values[left], maximize)
        places = left[front]
        gaps = crowding(values[places], np.zeros(len(places), dtype=np.int64))
        found.append(places[np.lexsort((-gaps,))][:count])
        count -= len(found[-1])
        left = left[~front]
    if count > 0:
        rest = np.flatnonzero(~sound | (over > 0))
        order = np.lexsort((np.where(sound, over, np.inf)[rest],))
        found.append(rest[order][:count])
    return np.concatenate(found) if found else np.empty(0, dtype=np.int64)


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
