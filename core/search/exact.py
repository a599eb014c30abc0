"""Exact minimisation of separable functions under separable limits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.search.halves import MOST_STATES
from stillhouse.core.search.interplay import Array
from stillhouse.core.search.lagrangian import Options, Relaxed, Whole, relaxed
from stillhouse.core.search.levels import tightened
from stillhouse.core.search.picking import GAP, least, ranked
from stillhouse.core.search.sampler import Codes
from stillhouse.core.search.separable import Case, Separable

Meets = Callable[[Codes], NDArray[np.bool_]]
"""Which canonical codes (n, width) meet the limits, (n,)."""

_ROUNDING: Final = 1e-12


@dataclass(frozen=True, eq=False)
class Within:
    """Limits on functions: each from `low` to `high` (functions,), infinite where there is none.

    Where `price` (functions,) is finite, a limit may be broken at that price for each unit of
    excess. `meets` has the last word on limits that must hold: sums of tables are right up to
    rounding.
    """

    low: Array
    high: Array
    meets: Meets
    price: Array | None = None


@dataclass(frozen=True, eq=False)
class Solution:
    """The configuration of the least value, its value, and a bound that no value lies below.

    `codes` (width,) is None when none was found; when `exact` too, there is none.
    """

    codes: NDArray[np.float64] | None
    value: float
    bound: float
    exact: bool


def minimise(
    model: Separable,
    weights: Array,
    within: Within,
    cutoff: float = np.inf,
    most: int = MOST_STATES,
) -> Solution:
    """The least weighted sum of the functions within limits, if it is at most `cutoff`.

    `weights` (functions,) say what is minimised; a negative one maximises. `most`
    bounds the work: beyond it the best that was found is returned, with the bound that was reached
    and `exact` False. No clock is read, so the same call gives the same answer.
    """
    best, value, bound = None, np.inf, np.inf
    for case, start in _cases(model, weights, within):
        if start.bound > min(cutoff, value) + GAP * abs(start.bound):
            continue
        meets = _accepts(model, case, within)
        found = least(start, min(cutoff, value), meets, most)
        bound = min(bound, found.bound, *found.value.tolist())
        if len(found.value) and found.value[0] < value:
            value = float(found.value[0])
            best = model.codes(case, found.option)[0]
    bound = min(bound, value)
    if best is None:
        return Solution(None, np.inf, bound, bound >= cutoff)
    return Solution(best, value, bound, value - bound <= GAP * max(abs(value), abs(bound)))


def best_first(
    model: Separable, weights: Array, within: Within, count: int, most: int = MOST_STATES
) -> tuple[Codes, Array, int]:
    """The `count` configurations of the least values, their values, and how many are proven.

    Fewer than `count` when there are no more, or when more would be too much work (`most`).
    """
    codes, values = np.empty((0, model.genome.space.width)), np.empty(0)
    bound = np.inf
    for case, start in _cases(model, weights, within):
        cutoff = float(values[-1]) if len(values) >= count else np.inf
        if start.bound > cutoff + GAP * abs(start.bound):
            continue
        found = ranked(start, count, cutoff, _accepts(model, case, within), most)
        bound = min(bound, found.bound)
        values = np.concatenate([values, found.value])
        codes = np.concatenate([codes, model.codes(case, found.option)])
        order = np.argsort(values, kind="stable")[:count]
        codes, values = codes[order], values[order]
    proven = int((values <= bound + GAP * abs(bound)).sum()) if len(values) else 0
    return codes, values, proven


def extremes(model: Separable) -> tuple[Array, Array]:
    """Exact least and greatest value of each function without limits, (functions,) each."""
    ends = []
    for case in model.cases:
        starts = np.flatnonzero(np.diff(case.unit, prepend=-1))
        low, high = (
            end.reduceat(case.table, starts).sum(axis=0) if len(starts) else 0.0
            for end in (np.minimum, np.maximum)
        )
        ends.append((case.constant + low, case.constant + high))
    return np.min([low for low, _ in ends], axis=0), np.max([high for _, high in ends], axis=0)


def _cases(model: Separable, weights: Array, within: Within) -> Iterator[tuple[Case, Relaxed]]:
    """Cases with their relaxations, the most promising first; hopeless ones are left out."""
    problems = [(case, _options(model, case, weights, within)) for case in model.cases]
    ends = [_ends(options) for _, options in problems]
    for at in np.argsort([value for value, _ in ends], kind="stable").tolist():
        start = relaxed(problems[at][1]) if ends[at][1] else None
        if start is not None:
            yield problems[at][0], start


def _ends(options: Options) -> tuple[float, bool]:
    """The least sum without limits, and whether each limit that must hold can be met alone."""
    if not len(options.value):
        reach = np.zeros((2, len(options.low)))
        value = 0.0
    else:
        reach = np.stack(
            [
                end.reduceat(options.use, options.starts).sum(axis=0)
                for end in (np.minimum, np.maximum)
            ]
        )
        value = float(np.minimum.reduceat(options.value, options.starts).sum())
    slack = options.tolerance
    met = (reach[0] <= options.high + slack) & (reach[1] >= options.low - slack)
    return options.constant + value, bool((met | np.isfinite(options.price)).all())


def _options(model: Separable, case: Case, weights: Array, within: Within) -> Options:
    limited = np.flatnonzero(np.isfinite(within.low) | np.isfinite(within.high))
    price = within.price if within.price is not None else np.full(len(within.low), np.inf)
    sizes = np.abs(case.constant) + np.abs(case.table).sum(axis=0)
    options = Options(
        constant=float(case.constant @ weights),
        value=case.table @ weights,
        use=case.table[:, limited],
        unit=case.unit,
        low=(within.low - case.constant)[limited],
        high=(within.high - case.constant)[limited],
        price=price[limited],
        tolerance=_ROUNDING * sizes[limited],
    )
    return tightened(options)


def _accepts(model: Separable, case: Case, within: Within) -> Callable[[Whole], NDArray[np.bool_]]:
    def accepts(picks: Whole) -> NDArray[np.bool_]:
        return within.meets(model.codes(case, picks))

    return accepts
