"""Picking one option of each unit at the least sum, relaxed: a bound, and what each option adds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Whole = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Options:
    """One option of each unit is to be picked so that `constant` and the values sum to the least.

    `value` (options,); `use` (options, columns), whose sums must lie from `low` to `high`
    (columns,); `unit` (options,) numbers the units from 0 without gaps, in order. Where `price`
    (columns,) is finite a limit may be broken at that price for each unit of excess.
    `tolerance` (columns,) is what rounding may add to a sum.
    """

    constant: float
    value: Array
    use: Array
    unit: Whole
    low: Array
    high: Array
    price: Array
    tolerance: Array

    @property
    def starts(self) -> Whole:
        """First option of each unit, (units,)."""
        return np.flatnonzero(np.diff(self.unit, prepend=-1))


@final
@dataclass(frozen=True, eq=False)
class Relaxed:
    """Options with their limits priced: every pick costs `bound` plus terms that are not negative.

    Those terms are the picked options' `reduced` (options,) and `surplus` of the sums of use.
    `first` (units,) is an option of each unit that adds nothing, and `total` (columns,) is the use
    of picking those. Source: Geoffrion, "Lagrangean relaxation for integer programming", 1974.
    """

    options: Options
    bound: float
    reduced: Array
    first: Whole
    total: Array
    over: Array
    under: Array
    """Multipliers of the upper and the lower limits, (columns,), from 0 to the price."""
    share: Array
    """How much of each option the relaxation picks, (options,)."""

    def surplus(self, total: Array) -> Array:
        """What sums of use (n, columns) add, (n,): unused room at its price, or broken limits."""
        options = self.options
        above, below = total - options.high, options.low - total
        out = np.zeros(len(total))
        for j in np.flatnonzero(np.isfinite(options.high)):
            out += _side(above[:, j], self.over[j], options.price[j], options.tolerance[j])
        for j in np.flatnonzero(np.isfinite(options.low)):
            out += _side(below[:, j], self.under[j], options.price[j], options.tolerance[j])
        return out

    def window(self, column: int, room: Array) -> tuple[Array, Array]:
        """Least and greatest sum of a column whose surplus may be at most `room` (n,)."""
        options, slack = self.options, self.options.tolerance[column]
        high, low = options.high[column], options.low[column]
        over, under, price = self.over[column], self.under[column], options.price[column]
        least = np.maximum(_end(high, -1, room, over), _end(low, -1, room, price - under))
        most = np.minimum(_end(low, 1, room, under), _end(high, 1, room, price - over))
        return least - slack, most + slack


def _side(excess: Array, multiplier: float, price: float, tolerance: float) -> Array:
    """Surplus on one side of a limit that is exceeded by `excess` (negative: room left)."""
    kept = multiplier * np.maximum(-excess, 0.0)
    if np.isinf(price):
        return np.where(excess > tolerance, np.inf, kept)
    return kept + (price - multiplier) * np.maximum(excess, 0.0)


def _end(limit: float, sign: int, room: Array, slope: float) -> Array:
    """How far a sum may lie from a limit, at so much a unit; endlessly where that is free."""
    if slope <= 0.0 or np.isinf(limit):
        return np.full(len(room), sign * np.inf)
    return limit + sign * (room / slope)


def relaxed(options: Options) -> Relaxed | None:
    """With the best multipliers, by HiGHS; None when even parts of options break a limit."""
    found = _multipliers(options)
    return None if found is None else lowered(options, *found)


def lowered(options: Options, over: Array, under: Array, share: Array | None = None) -> Relaxed:
    """With given multipliers; among options that add nothing those of the greatest `share` lead."""
    starts = options.starts
    priced = options.value + options.use @ (over - under)
    least = np.minimum.reduceat(priced, starts) if len(starts) else np.empty(0)
    reduced = priced - least[options.unit]
    # Rounding leaves ties open; of those the one that the relaxation picks is nearest the limits.
    sizes = np.abs(options.value) + np.abs(options.use) @ (over + under)
    reduced[reduced <= 1e-12 * sizes.max(initial=0.0)] = 0.0
    share = np.zeros(len(priced)) if share is None else share
    first = _first(np.where(reduced == 0.0, share, -1.0), starts)
    bound = options.constant + float(least.sum())
    bound -= float((over * np.where(over > 0, options.high, 0.0)).sum())
    bound += float((under * np.where(under > 0, options.low, 0.0)).sum())
    total = options.use[first].sum(axis=0)
    return Relaxed(options, bound, reduced, first, total, over, under, share)


def _first(share: Array, starts: Whole) -> Whole:
    """The option of each unit with the greatest share, the first of equals."""
    parts = np.split(share, starts[1:]) if len(starts) else []
    return starts + np.array([int(np.argmax(part)) for part in parts], dtype=np.int64)


def _multipliers(options: Options) -> tuple[Array, Array, Array] | None:
    """Dual values of upper and lower limits, and the share of each option in the relaxed pick.

    Any multipliers give a valid bound, these the best one.
    """
    sides = [(j, 1.0) for j in np.flatnonzero(np.isfinite(options.high)).tolist()]
    sides += [(j, -1.0) for j in np.flatnonzero(np.isfinite(options.low)).tolist()]
    out = np.zeros((2, len(options.low)))
    if not sides or not len(options.value):
        return _without_choice(options, out)
    scale = np.abs(options.use).max(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    unit_of_value = float(np.abs(options.value).max()) or 1.0
    found = _solved(options, sides, scale, unit_of_value)
    if found.status == 2:
        return None
    if found.status == 0:
        for (j, sign), dual in zip(sides, found.ineqlin.marginals, strict=True):
            multiplier = max(-float(dual), 0.0) * unit_of_value / scale[j]
            out[0 if sign > 0 else 1, j] = min(multiplier, options.price[j])
        return out[0], out[1], found.x[: len(options.value)]
    return out[0], out[1], np.zeros(len(options.value))


def _without_choice(options: Options, none: Array) -> tuple[Array, Array, Array] | None:
    broken = (options.low > options.tolerance) | (options.high < -options.tolerance)
    hopeless = not len(options.value) and bool((broken & np.isinf(options.price)).any())
    return None if hopeless else (none[0], none[1], np.zeros(len(options.value)))


def _solved(
    options: Options, sides: list[tuple[int, float]], scale: Array, unit_of_value: float
) -> Any:
    from scipy.optimize import linprog
    from scipy.sparse import csr_array, hstack

    count = len(options.value)
    rows = np.stack([sign * options.use[:, j] / scale[j] for j, sign in sides])
    most = np.array([(options.high if s > 0 else options.low)[j] * s / scale[j] for j, s in sides])
    prices = np.array([options.price[j] * scale[j] for j, _ in sides]) / unit_of_value
    soft = np.flatnonzero(np.isfinite(prices))
    excess = csr_array((-np.ones(len(soft)), (soft, np.arange(len(soft)))), (len(sides), len(soft)))
    picks = csr_array((np.ones(count), (options.unit, np.arange(count))))
    free = csr_array((picks.shape[0], len(soft)))
    solve: Any = linprog  # its stubs know no sparse matrices
    return solve(
        np.concatenate([options.value / unit_of_value, prices[soft]]),
        A_ub=hstack([csr_array(rows), excess], format="csr"),
        b_ub=most,
        A_eq=hstack([picks, free], format="csr"),
        b_eq=np.ones(picks.shape[0]),
        method="highs",
    )
