"""True fronts of the constrained problems, computed and not downloaded.

pymoo has some of them as formulas; the others it fetches from the network, so they are swept here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.search import on_front

Array = NDArray[np.float64]
Outcome = Callable[[Array], tuple[Array, Array]]
"""Objectives (n, objectives) and constraints (n, constraints; met where <= 0) at distances (n,)."""

_POSITIONS = 2001
_DISTANCES = 800
_PARTITIONS = 99
_SLACK = 1e-9


def evaluated(problem: Any, rows: Array) -> tuple[Array, Array]:
    """Objectives (n, objectives) and constraints (n, constraints) of variables (n, variables)."""
    lower, upper = problem.bounds()
    # MW6 and MW11 take the root of what rounding makes negative at the bound itself: stay inside.
    inside = 1e-12 * (upper - lower)
    found = problem.evaluate(
        np.clip(rows, lower + inside, upper - inside), return_as_dictionary=True
    )
    return found["F"], found["G"]


def by_formula(problem: Any) -> Array:
    """pymoo's own front: BNH with 1,001 points, C-DTLZ with 5,050 reference directions."""
    from pymoo.util.ref_dirs import get_reference_directions

    if problem.n_obj == 2:
        return minimal(problem.pareto_front(n_points=1001))
    directions = get_reference_directions("das-dennis", problem.n_obj, n_partitions=_PARTITIONS)
    return minimal(problem.pareto_front(ref_dirs=directions))


def by_distance(problem: Any, nearest: float) -> Array:
    """Two-objective MW (`nearest` 1) and DAS-CMOP (0).

    Their objectives and constraints depend on the first variable (position) and on one distance,
    which the other variables set to anything from `nearest` up, and every objective grows with it.
    """
    lower, upper = problem.bounds()
    rows = np.tile(lower, (_POSITIONS, 1))
    rows[:, 0] = np.linspace(lower[0], upper[0], _POSITIONS)

    def at(distances: Array) -> tuple[Array, Array]:
        shaped = distances if nearest else distances[:, None]
        for name in ("g1", "g2", "g3"):
            setattr(problem, name, lambda _: shaped)
        return evaluated(problem, rows)

    try:
        return swept(at, _POSITIONS, nearest, nearest + 2.0)
    finally:
        for name in ("g1", "g2", "g3"):
            delattr(problem, name)


def tnk(problem: Any) -> Array:
    """TNK: the variables are the objectives, so the front is swept along rays from the origin."""
    angles = np.linspace(0.0, np.pi / 2, _POSITIONS)
    rays = np.stack([np.cos(angles), np.sin(angles)], axis=1)

    def at(distances: Array) -> tuple[Array, Array]:
        return evaluated(problem, rays * distances[:, None])

    return swept(at, _POSITIONS, 0.5, 2.0)


def srn(problem: Any) -> Array:
    """SRN: along the second constraint's line, up x1 = -2.5, and round the first one's circle.

    pymoo's own formula has the middle piece only. The ends are the least of either objective.
    """
    along = np.linspace(0.0, 1.0, 1001)
    angles = np.arccos(-(2.5 + 5 * along) / 15)
    line = (-2.5 + 3.6 * along, 2.5 + 1.2 * along)
    middle = (np.full_like(along, -2.5), 2.5 + 12.2902 * along)
    circle = (15 * np.cos(angles), 15 * np.sin(angles))
    return _pieced(problem, [line, middle, circle])


def osy(problem: Any) -> Array:
    """OSY: five pieces of the Pareto set.

    Source: Deb, "Multi-objective optimization using evolutionary algorithms", 2001, section 8.3.3.
    """
    along = np.linspace(0.0, 1.0, 1001)
    none, one = np.zeros_like(along), np.ones_like(along)
    middle = 4.056 + 0.944 * along
    pieces = [
        (5 * one, one, 1 + 4 * along, none, 5 * one, none),
        (5 * one, one, 1 + 4 * along, none, one, none),
        (middle, (middle - 2) / 3, one, none, one, none),
        (none, 2 * one, 1 + 2.732 * along, none, one, none),
        (along, 2 - along, one, none, one, none),
    ]
    return _pieced(problem, pieces)


def swept(at: Outcome, count: int, nearest: float, farthest: float) -> Array:
    """The front of what is nearest and feasible at each of `count` positions.

    The nearest distance is bracketed on a grid and then bisected: exact to 1e-12, but a feasible
    strip thinner than the grid's step may be missed.
    """
    steps = np.linspace(nearest, farthest, _DISTANCES)
    low, high = np.full(count, np.nan), np.full(count, np.nan)
    for before, step in zip([nearest, *steps], steps, strict=False):
        first = np.isnan(high) & _met(at(np.full(count, step))[1])
        low[first], high[first] = before, step
    reached = np.isfinite(high)
    low, high = np.where(reached, low, nearest), np.where(reached, high, nearest)
    for _ in range(30):
        half = (low + high) / 2
        met = _met(at(half)[1])
        low, high = np.where(met, low, half), np.where(met, half, high)
    return minimal(at(high)[0][reached])


def minimal(values: Array) -> Array:
    """The rows that no other dominates, each once."""
    distinct = np.unique(values, axis=0)
    return distinct[on_front(distinct, [False] * values.shape[1])]


def _pieced(problem: Any, pieces: Sequence[tuple[Array, ...]]) -> Array:
    """The front of the feasible rows of pieces of a Pareto set, each a tuple of variables."""
    rows = np.concatenate([np.stack(piece, axis=1) for piece in pieces])
    values, constraints = evaluated(problem, rows)
    return minimal(values[_met(constraints)])


def _met(constraints: Array) -> NDArray[np.bool_]:
    return np.asarray((constraints <= _SLACK).all(axis=1))
