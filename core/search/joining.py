"""Whole picks from two halves: only those pairs are looked at whose uses fit the limits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, final

import numpy as np

from stillhouse.core.search.halves import Half
from stillhouse.core.search.lagrangian import Array, Relaxed, Whole

_CHUNK: Final = 1 << 20


@dataclass(frozen=True, eq=False)
class Joined:
    """Whole picks: what each adds to the bound, cheapest first, and its place in either half.

    `exhausted` is False when there were too many pairs to look at.
    """

    added: Array
    left: Whole
    right: Whole
    exhausted: bool


def join(relaxed: Relaxed, left: Half, right: Half, reach: float, keep: int, pairs: int) -> Joined:
    """The `keep` cheapest whole picks that add at most `reach`; looks at about `pairs` at most.

    Left halves are taken from the cheapest. The more they add, the fewer right ones have room
    beside them: these are sorted anew whenever their number has halved.
    """
    best = _Best(keep, reach)
    size = len(right.reduced)
    start = 0
    while size and start < len(left.reduced) and not best.perfect and pairs > 0:
        room = np.searchsorted(right.reduced, best.reach - left.reduced, side="right")
        stop = int(np.searchsorted(-room, -(size // 2), side="left"))
        if stop > start:
            pairs -= _look(relaxed, left, right, (start, stop, size), best, pairs)
            start = stop
        size //= 2
    added, a, b = best.sorted()
    return Joined(added, a, b, pairs > 0)


def _look(
    relaxed: Relaxed, left: Half, right: Half, part: tuple[int, int, int], best: _Best, most: int
) -> int:
    """Pair left halves `start` to `stop` with the first `size` right ones; how many were paired."""
    start, stop, size = part
    grid = _Grid(relaxed, right.use[:size], best.reach - float(left.reduced[start]))
    paired = 0
    while start < stop and paired <= most and not best.perfect:
        ahead = min(stop, start + _CHUNK)
        room = np.maximum(best.reach - left.reduced[start:ahead], 0.0)
        for first, last in grid.spans(relaxed.total + left.use[start:ahead], room):
            for a, b in _pairs(first, last):
                a += start
                best.add(*_priced(relaxed, left, right, a, grid.order[b], best.reach))
                paired += len(a)
                if paired > most:
                    return paired
        start = ahead
    return paired


@final
class _Grid:
    """Uses sorted into strips of the most selective column, each strip by the next one.

    The strips are as wide as a window, so what fits a sum lies in two of them, side by side.
    """

    def __init__(self, relaxed: Relaxed, use: Array, room: float) -> None:
        self._relaxed = relaxed
        widths = np.array([_width(relaxed, j, room) for j in range(use.shape[1])])
        spread = np.ptp(use, axis=0) if len(use) else np.zeros(use.shape[1])
        share = np.where(spread > 0, widths / np.where(spread > 0, spread, 1.0), np.inf)
        ranked = np.argsort(share, kind="stable")
        self._strip = int(ranked[0]) if len(ranked) and np.isfinite(share[ranked[0]]) else -1
        others = [j for j in ranked.tolist() if j != self._strip and spread[j] > 0]
        self._within = others[0] if others else -1
        self._origin = use.min(axis=0) if len(use) else np.zeros(use.shape[1])
        # The rest of a strip's number is the place within it: both fit into one sorted key.
        self._width = (
            max(widths[self._strip], 1e-6 * spread[self._strip]) if self._strip >= 0 else 1
        )
        self._spread = 1.001 * spread[self._within] if self._within >= 0 else 1.0
        keys = self._strips(use) + self._places(use)
        self.order = np.argsort(keys, kind="stable")
        self._keys = keys[self.order]

    def spans(self, have: Array, room: Array) -> Iterator[tuple[Whole, Whole]]:
        """From which to before which place in `order` uses fit sums (n, columns), by strip."""
        low, high = self._window(self._strip, have, room)
        first_strip, last_strip = self._strips_of(low), self._strips_of(high)
        at, to = (self._place_of(edge) for edge in self._window(self._within, have, room))
        margin = 1e-9 * (1.0 + abs(float(self._keys[-1]))) if len(self._keys) else 0.0
        at, to = np.clip(at - margin, 0.0, 1.0), np.clip(to + margin, -1.0, 1.0 - 1e-9)
        strips = last_strip - first_strip
        for step in range(int(strips.max(initial=-1.0)) + 1):
            strip = first_strip + step
            first = np.searchsorted(self._keys, strip + at, side="left")
            last = np.searchsorted(self._keys, strip + to, side="right")
            yield first, np.where(step <= strips, np.maximum(last, first), first)

    def _window(self, column: int, have: Array, room: Array) -> tuple[Array, Array]:
        if column < 0:
            return np.zeros(len(have)), np.zeros(len(have))
        least, most = self._relaxed.window(column, room)
        return (
            least - have[:, column] - self._origin[column],
            most - have[:, column] - self._origin[column],
        )

    def _strips(self, use: Array) -> Array:
        if self._strip < 0:
            return np.zeros(len(use))
        strips: Array = np.floor((use[:, self._strip] - self._origin[self._strip]) / self._width)
        return strips

    def _strips_of(self, edge: Array) -> Array:
        if self._strip < 0:
            return np.zeros(len(edge))
        count = self._keys[-1] + 1 if len(self._keys) else 0.0
        strips: Array = np.floor(np.clip(edge / self._width, -1.0, count))
        return strips

    def _places(self, use: Array) -> Array:
        if self._within < 0:
            return np.zeros(len(use))
        places: Array = (use[:, self._within] - self._origin[self._within]) / self._spread
        return places

    def _place_of(self, edge: Array) -> Array:
        """Where in a strip, 0 to below 1, with a margin for the rounding of keys."""
        if self._within < 0:
            return np.zeros(len(edge))
        return edge / self._spread


def _width(relaxed: Relaxed, column: int, room: float) -> float:
    least, most = relaxed.window(column, np.array([max(room, 0.0)]))
    return float((most - least)[0])


def _pairs(first: Whole, last: Whole) -> Iterator[tuple[Whole, Whole]]:
    """All (row, place) with `first` <= place < `last`, in chunks."""
    ends = np.cumsum(last - first)
    total = int(ends[-1]) if len(ends) else 0
    for start in range(0, total, _CHUNK):
        flat = np.arange(start, min(start + _CHUNK, total))
        row = np.searchsorted(ends, flat, side="right")
        yield row, first[row] + flat - (ends[row] - (last - first)[row])


def _priced(
    relaxed: Relaxed, left: Half, right: Half, a: Whole, b: Whole, reach: float
) -> tuple[Array, Whole, Whole]:
    """What pairs add to the bound, for those that add at most `reach`."""
    added = left.reduced[a] + right.reduced[b]
    near = np.flatnonzero(added <= reach)
    a, b, added = a[near], b[near], added[near]
    added = added + relaxed.surplus(relaxed.total + left.use[a] + right.use[b])
    near = np.flatnonzero(added <= reach)
    return added[near], a[near], b[near]


@final
class _Best:
    """The cheapest pairs so far; once there are enough, the reach shrinks to the last of them."""

    def __init__(self, keep: int, reach: float) -> None:
        self.reach = reach
        self._keep = keep
        self._found: tuple[Array, Whole, Whole] = (
            np.empty(0),
            np.empty(0, np.int64),
            np.empty(0, np.int64),
        )

    @property
    def perfect(self) -> bool:
        """Whether as many as wanted add nothing to the bound."""
        return len(self._found[0]) >= self._keep and self.reach <= 0.0

    def add(self, added: Array, a: Whole, b: Whole) -> None:
        if not len(added):
            return
        parts = zip(self._found, (added, a, b), strict=True)
        added, a, b = (np.concatenate(pair) for pair in parts)
        order = np.lexsort((b, a, added))[: self._keep]
        self._found = added[order], a[order], b[order]
        if len(order) == self._keep:
            self.reach = min(self.reach, float(added[order[-1]]))

    def sorted(self) -> tuple[Array, Whole, Whole]:
        return self._found
