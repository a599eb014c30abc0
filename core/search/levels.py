"""Values strongly correlated with what is limited, taken apart by the level of what is not.

Where every option's value is minus its use, up to a term that comes in whole steps (as when every
further layer brings the same bonus beside what it costs), the relaxation mixes levels of that term
and lies far below any pick. At one level it is tight. Source: the strongly correlated instances of
Kellerer, Pferschy and Pisinger, "Knapsack problems", 2004, section 5.5, solved by cardinality.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from math import floor
from typing import Final

import numpy as np

from stillhouse.core.search.lagrangian import Array, Options, Relaxed, relaxed
from stillhouse.core.search.picking import GAP, Accept, Picks, least, step_of

_MOST_LEVELS: Final = 64


def least_by_level(start: Relaxed, cutoff: float, accept: Accept, most: int) -> Picks:
    """`least`, level by level where the options have levels."""
    found = _levels(start)
    if found is None:
        return least(start, cutoff, accept, most)
    term, step = found
    origin = float(term[start.first].sum())
    middle = floor(_relaxed_sum(start, term, origin) / step)
    best = Picks(start.first[None][:0], np.empty(0), np.inf)
    sides = {1: middle + 1, -1: middle}
    bounds = {side: _at(start, term, origin + step * level) for side, level in sides.items()}
    bound = np.inf
    for _ in range(_MOST_LEVELS):
        side = min(bounds, key=lambda one: _bound(bounds[one]))
        tried = bounds[side]
        limit = min([cutoff, *best.value.tolist()])
        if tried is None or tried.bound > limit + GAP * abs(limit):
            return Picks(best.option, best.value, min([bound, *best.value.tolist()]))
        picks = least(tried, limit, accept, most)
        bound = min(bound, picks.bound)
        if len(picks.value) and picks.value[0] < min([np.inf, *best.value.tolist()]):
            best = picks
        sides[side] += side
        bounds[side] = _at(start, term, origin + step * sides[side])
    bound = min(bound, *(_bound(one) for one in bounds.values()))
    return Picks(best.option, best.value, bound)


def _bound(level: Relaxed | None) -> float:
    return np.inf if level is None else level.bound


def _levels(start: Relaxed) -> tuple[Array, float] | None:
    """The term beside the uses, (options,), and its step, where that is coarser than the values'."""
    options = start.options
    own = step_of(options.value, options.unit)
    steps = [step_of(use, options.unit) for use in options.use.T]
    if np.isfinite(options.price).any() or own <= 0.0:
        return None
    near = [
        {floor(m * use / own), floor(m * use / own) + 1} if use > 0 and m != 0.0 else {0}
        for m, use in zip(start.over - start.under, steps, strict=True)
    ]
    best, coarsest = None, 1.5 * own
    for factors in product(*near) if len(near) <= 4 else ():
        share = np.array([f * own / u if f else 0.0 for f, u in zip(factors, steps, strict=True)])
        term = options.value + options.use @ share
        step = step_of(term, options.unit)
        if step > coarsest:
            best, coarsest = term, step
    return None if best is None else (best, coarsest)


def _relaxed_sum(start: Relaxed, term: Array, origin: float) -> float:
    """About how far the relaxation's sum of the term lies from that of its first pick."""
    return float((start.share * term).sum()) - origin


def _at(start: Relaxed, term: Array, level: float) -> Relaxed | None:
    options = start.options
    slack = 1e-9 * max(float(np.abs(term).sum()), 1.0)
    return relaxed(
        replace(
            options,
            use=np.column_stack([options.use, term]),
            low=np.append(options.low, level),
            high=np.append(options.high, level),
            price=np.append(options.price, np.inf),
            tolerance=np.append(options.tolerance, slack),
        )
    )
