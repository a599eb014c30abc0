"""The best picks of one option of each unit, proven to be the best."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import ceil, floor
from typing import Final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.search.halves import MOST_STATES, Half, halves
from stillhouse.core.search.joining import Joined, join
from stillhouse.core.search.lagrangian import Relaxed, Whole
from stillhouse.core.search.levels import level_bound, step_of

GAP: Final = 1e-9
"""A value is proven to be the least when a bound is as near, relative to it."""

Accept = Callable[[Whole], NDArray[np.bool_]]
"""Which picks (n, units) really meet the limits, (n,): sums here are right up to rounding."""

_KEPT: Final = 8
_HUNTS: Final = 8
_PAIRS: Final = 32
_FEW: Final = 500
_LEAST_REACH: Final = 1e-4


@dataclass(frozen=True, eq=False)
class Picks:
    """Picks (n, units), the least first, with their sums (n,).

    No other pick sums to less than `bound`; it is infinite when there is no other.
    """

    option: Whole
    value: NDArray[np.float64]
    bound: float

    @property
    def exact(self) -> bool:
        """Whether the first pick is the least there is, or proven that there is none."""
        if not len(self.value):
            return bool(np.isinf(self.bound))
        least = float(self.value[0])
        return least - self.bound <= GAP * max(abs(least), abs(self.bound))


def least(relaxed: Relaxed, cutoff: float, accept: Accept, most: int = MOST_STATES) -> Picks:
    """The accepted pick of the least sum among those of at most `cutoff`, as one row or none."""
    return _found(relaxed, cutoff, accept, most, 1, merge=True)


def ranked(
    relaxed: Relaxed, count: int, cutoff: float, accept: Accept, most: int = MOST_STATES
) -> Picks:
    """The `count` accepted picks of the least sums, in order; fewer when there are no more.

    The first picks, up to a sum of `bound`, are proven to be the least; those after it are good.
    """
    return _found(relaxed, cutoff, accept, most, count, merge=False)


def _found(
    relaxed: Relaxed, cutoff: float, accept: Accept, most: int, count: int, merge: bool
) -> Picks:
    bound = level_bound(relaxed)
    room = _Room(bound - relaxed.bound, min(cutoff - relaxed.bound, _everything(relaxed)))
    best = Picks(np.empty((0, len(relaxed.first)), np.int64), np.empty(0), bound)
    for level in _levels(relaxed, room, cutoff, most, merge, count + _KEPT):
        found = _accepted(relaxed, level, accept, count)
        if _better(found.value, best.value):
            best = found
        bound = max(bound, level.bound)
        if len(best.value) >= count:
            room.end = min(room.end, float(best.value[-1]) - relaxed.bound)
            if best.value[-1] <= bound + GAP * abs(bound):
                break
    return Picks(best.option, best.value, bound)


def _better(values: NDArray[np.float64], than: NDArray[np.float64]) -> bool:
    if len(values) != len(than):
        return len(values) > len(than)
    return bool((values < than).any())


@dataclass(frozen=True, eq=False)
class _Level:
    """Picks that were found within a reach; all picks that sum to less than `bound` are there."""

    left: Half
    right: Half
    joined: Joined
    bound: float


@dataclass(eq=False)
class _Room:
    """How far above the relaxation picks are of interest; shrinks when good ones are found."""

    start: float
    end: float


def _levels(
    relaxed: Relaxed, room: _Room, cutoff: float, most: int, merge: bool, keep: int
) -> Iterator[_Level]:
    """Ever wider reaches, until nothing lies beyond or the halves grow too many.

    Once there are too many of them, samples of wider reaches look for good picks: the sooner one
    is found, the less far the complete ones have to reach.
    """
    soft = np.isfinite(relaxed.options.price).any()
    step = 0.0 if soft else step_of(relaxed.options.value, relaxed.options.unit)
    reach, complete = min(_first_reach(relaxed) or room.end * _LEAST_REACH, room.end), -np.inf
    for size in (most >> 6, most >> 3, most):
        capped = False
        while not capped:
            left, right = halves(relaxed, reach, merge, size)
            full = min(left.complete, right.complete)
            for wide in [reach, min(room.end, 1.5 * reach)]:
                joined = join(relaxed, left, right, wide, keep, _PAIRS * size)
                if joined.exhausted:
                    complete = max(complete, min(full, wide))
                after = _raised(relaxed, complete, step, cutoff, complete >= room.end)
                yield _Level(left, right, joined, after)
                if complete >= room.end:
                    return
                if not joined.exhausted or len(joined.added) or wide >= room.end:
                    break
            capped = full < reach or not joined.exhausted
            few = max(len(left.reduced), len(right.reduced)) < _FEW
            reach = reach if capped else min(room.end, reach * (4.0 if few else 1.5))
        for wide in _hunts(room, reach):
            left, right = halves(relaxed, wide / 2, merge, size >> 2, sampled=True)
            joined = join(relaxed, left, right, wide, keep, _PAIRS * size)
            yield _Level(left, right, joined, after)
            if len(joined.added):
                break


def _hunts(room: _Room, reach: float) -> Iterator[float]:
    """Reaches within which a pick is looked for by chance, from the bound onwards."""
    at = room.start
    yield at
    step = max(reach, room.end * _LEAST_REACH) / 4
    for _ in range(_HUNTS):
        at += step
        if at >= room.end:
            return
        yield at
        step *= 1.5


def _first_reach(relaxed: Relaxed) -> float:
    """Room for some sixteen changes."""
    changes = np.delete(relaxed.reduced, relaxed.first)
    changes = np.sort(changes[changes > 0])
    return float(changes[min(16, len(changes) - 1)]) if len(changes) else 0.0


def _everything(relaxed: Relaxed) -> float:
    """A reach beyond which there is no pick that meets the limits."""
    options = relaxed.options
    changes, least, most = 0.0, np.zeros(len(options.low)), np.zeros(len(options.low))
    if len(options.value):
        starts = options.starts
        changes = float(np.maximum.reduceat(relaxed.reduced, starts).sum())
        least = np.minimum.reduceat(options.use, starts).sum(axis=0)
        most = np.maximum.reduceat(options.use, starts).sum(axis=0)
    hard = np.isinf(options.price)
    lowest = np.where(hard, np.maximum(least, options.low), least)
    highest = np.where(hard, np.minimum(most, options.high), most)
    dearest = np.where(hard, 0.0, options.price)
    ends = [
        (relaxed.over, options.high - lowest),
        (relaxed.under, highest - options.low),
        (dearest, highest - options.high),
        (dearest, options.low - lowest),
    ]
    surplus = sum(
        float((slope[slope > 0] * np.maximum(room[slope > 0], 0.0)).sum()) for slope, room in ends
    )
    return (changes + surplus) * (1 + GAP) + GAP * abs(relaxed.bound)


def _raised(relaxed: Relaxed, complete: float, step: float, cutoff: float, finished: bool) -> float:
    """What picks that were not found sum to at the least."""
    if finished:
        return cutoff if relaxed.bound + complete >= cutoff else np.inf
    bound = relaxed.bound + max(complete, 0.0)
    if step <= 0.0:
        return bound
    origin = relaxed.options.constant + float(relaxed.options.value[relaxed.first].sum())
    steps = (bound - origin) / step
    # Sums at the bound itself were found, unless not even those could all be listed.
    whole = ceil(steps - 1e-6) if complete < 0.0 else floor(steps + 1e-6) + 1
    return max(bound, origin + step * whole)


def _accepted(relaxed: Relaxed, level: _Level, accept: Accept, count: int) -> Picks:
    """The first `count` accepted picks of a level."""
    joined = level.joined
    picks = np.repeat(relaxed.first[None], len(joined.added), axis=0)
    units = relaxed.options.unit
    for row, (a, b) in enumerate(zip(joined.left.tolist(), joined.right.tolist(), strict=True)):
        for option in (*level.left.changes(a), *level.right.changes(b)):
            picks[row, units[option]] = option
    good = np.flatnonzero(accept(picks))[:count] if len(picks) else np.empty(0, np.int64)
    return Picks(picks[good], relaxed.bound + joined.added[good], relaxed.bound)
