"""Better bounds where numbers come in whole steps.

Sums of whole steps leave gaps: limits can be tightened to the next sum that there is. And where
every option's value is minus its use up to a term in coarser steps (as when each further layer
brings the same bonus beside what it costs), the relaxation mixes levels of that term and lies far
below any pick, while at each one level it is tight. Source: Kellerer, Pferschy and Pisinger,
"Knapsack problems", 2004, section 5.5 (strongly correlated instances, by cardinality).
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from math import floor

import numpy as np

from stillhouse.core.search.lagrangian import Array, Options, Relaxed, Whole, relaxed


def step_of(values: Array, unit: Whole) -> float:
    """The step between any two sums of one value of each unit; 0 where there is none."""
    inside = np.diff(unit) == 0
    for parts in (1.0, 2.0, 10.0, 100.0, 1000.0):
        scaled = values * parts
        whole = np.rint(scaled)
        if np.abs(scaled).max(initial=0.0) < 2**40 and np.allclose(scaled, whole, 1e-12, 1e-9):
            differences = np.diff(whole.astype(np.int64))[inside]
            return float(np.gcd.reduce(differences)) / parts if len(differences) else 0.0
    return 0.0


def tightened(options: Options) -> Options:
    """Limits that must hold, moved to the nearest sums of uses within them."""
    low, high = options.low.copy(), options.high.copy()
    for j in np.flatnonzero(np.isinf(options.price)):
        step = step_of(options.use[:, j], options.unit)
        if step > 10 * options.tolerance[j]:
            origin = float(options.use[options.starts, j].sum())
            high[j] = origin + step * np.floor((high[j] - origin + options.tolerance[j]) / step)
            low[j] = origin + step * np.ceil((low[j] - origin - options.tolerance[j]) / step)
    return replace(options, low=low, high=high)


def level_bound(start: Relaxed) -> float:
    """A bound on the sums of picks, at least that of the relaxation."""
    found = _levels(start)
    if found is None:
        return start.bound
    term, step = found
    origin = float(term[start.first].sum())
    below = floor((float((start.share * term).sum()) - origin) / step)
    # The bound is convex in the level: the least is at one of the two around the relaxed sum.
    bounds = [_at(start, term, origin + step * level) for level in (below, below + 1)]
    return max(start.bound, min(bounds))


def _levels(start: Relaxed) -> tuple[Array, float] | None:
    """The term beside the uses, (options,), and its step if that is coarser than the values'."""
    options = start.options
    own = step_of(options.value, options.unit)
    steps = [step_of(use, options.unit) for use in options.use.T]
    if np.isfinite(options.price).any() or own <= 0.0 or len(steps) > 4:
        return None
    near = [
        (floor(m * use / own), floor(m * use / own) + 1) if use > 0 and m != 0.0 else (0,)
        for m, use in zip(start.over - start.under, steps, strict=True)
    ]
    best, coarsest = None, 1.5 * own
    for factors in product(*near):
        share = np.array([f * own / u if f else 0.0 for f, u in zip(factors, steps, strict=True)])
        term = options.value + options.use @ share
        step = step_of(term, options.unit)
        if step > coarsest:
            best, coarsest = term, step
    return None if best is None else (best, coarsest)


def _at(start: Relaxed, term: Array, level: float) -> float:
    """The bound of picks whose term sums to `level`; infinite where there are none."""
    options = start.options
    slack = 1e-9 * max(float(np.abs(term).sum()), 1.0)
    found = relaxed(
        replace(
            options,
            use=np.column_stack([options.use, term]),
            low=np.append(options.low, level),
            high=np.append(options.high, level),
            price=np.append(options.price, np.inf),
            tolerance=np.append(options.tolerance, slack),
        )
    )
    return np.inf if found is None else found.bound
