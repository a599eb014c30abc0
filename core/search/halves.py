"""Every near-best pick of options, by listing the near-best picks of two halves and joining them.

A pick within `reach` of a bound differs from the relaxed one in a few units only: each half has
few partial picks that cost at most `reach`, and only those pairs count whose uses fit the limits.
Sources: Horowitz and Sahni, "Computing partitions with applications to the knapsack problem",
1974 (two halves); Pisinger, "A minimal algorithm for the multiple-choice knapsack problem", 1995
(a core around the relaxation).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.search.lagrangian import Array, Relaxed, Whole

MOST_STATES: Final = 1 << 20

_CHUNK: Final = 1 << 20


@dataclass(frozen=True, eq=False)
class Half:
    """Partial picks, cheapest first: what each adds to the bound (n,) and its use (n, columns).

    Partial picks are leaves of a tree: `node` (n,) is the last change of each, `parent` and
    `option` (nodes,) tell what it changes and after which. All that add at most `complete` are
    there.
    """

    reduced: Array
    use: Array
    node: Whole
    parent: Whole
    option: Whole
    complete: float

    def changes(self, at: int) -> list[int]:
        """The options of one partial pick that differ from the relaxed ones."""
        out, node = [], int(self.node[at])
        while node > 0:
            out.append(int(self.option[node]))
            node = int(self.parent[node])
        return out


@dataclass(frozen=True, eq=False)
class Joined:
    """Whole picks: what each adds to the bound, cheapest first, and its place in either half.

    `exhausted` is False when there were too many pairs to look at.
    """

    added: Array
    left: Whole
    right: Whole
    exhausted: bool


def halves(relaxed: Relaxed, reach: float, merge: bool, most: int) -> tuple[Half, Half]:
    """Partial picks that add at most `reach`, of every other unit each.

    With `merge` one stands for all that agree in what they add and use; at most about `most` in
    each half, the cheapest.
    """
    units = _alternatives(relaxed, reach)
    return _half(relaxed, units[0::2], reach, merge, most), _half(
        relaxed, units[1::2], reach, merge, most
    )


def _alternatives(relaxed: Relaxed, reach: float) -> list[Whole]:
    """Options worth changing to, unit by unit, the unit with the cheapest change first."""
    worth = relaxed.reduced <= reach
    worth[relaxed.first] = False
    at = np.flatnonzero(worth)
    starts = np.flatnonzero(np.diff(relaxed.options.unit[at], prepend=-1))
    parts = np.split(at, starts[1:]) if len(at) else []
    return sorted(parts, key=lambda part: float(relaxed.reduced[part].min()))


def _half(relaxed: Relaxed, units: list[Whole], reach: float, merge: bool, most: int) -> Half:
    change = relaxed.options.use - relaxed.options.use[relaxed.first][relaxed.options.unit]
    grown = _Growing(change.shape[1])
    look_at = 64
    for unit in units:
        before = grown.count
        for option in unit.tolist():
            grown.extend(option, relaxed.reduced[option], change[option], before, reach)
        if merge and grown.count >= look_at:
            unmerged = grown.count
            grown.keep(_merged(relaxed, *grown.sums()))
            look_at = (2 if grown.count < 0.9 * unmerged else 8) * grown.count
        if grown.count > most:
            # The cheapest stay; what may be added from here on is cheaper than what went.
            order = np.argpartition(grown.sums()[0], most)
            reach = min(reach, float(np.nextafter(grown.sums()[0][order[most]], -np.inf)))
            grown.keep(np.sort(order[:most]))
            if reach < 0:
                break
    return grown.sorted(reach)


class _Growing:
    """Partial picks while they are listed, in arrays that double when they are full."""

    def __init__(self, columns: int) -> None:
        self.count = 1
        self._reduced = np.zeros(64)
        self._use = np.zeros((64, columns))
        self._node = np.zeros(64, dtype=np.int64)
        self._parents = [np.zeros(1, dtype=np.int64)]
        self._options = [np.zeros(1, dtype=np.int64)]
        self._nodes = 1

    def sums(self) -> tuple[Array, Array]:
        """What each adds (n,) and its change of use (n, columns)."""
        return self._reduced[: self.count], self._use[: self.count]

    def extend(self, option: int, cost: float, use: Array, before: int, reach: float) -> None:
        """Let the first `before` change to an option too, as far as that stays within reach."""
        at = np.flatnonzero(self._reduced[:before] <= reach - cost)
        if not len(at):
            return
        start, stop = self.count, self.count + len(at)
        self._make_room(stop)
        self._reduced[start:stop] = self._reduced[at] + cost
        self._use[start:stop] = self._use[at] + use
        self._node[start:stop] = np.arange(self._nodes, self._nodes + len(at))
        self._parents.append(self._node[at])
        self._options.append(np.full(len(at), option))
        self._nodes += len(at)
        self.count = stop

    def keep(self, rows: Whole) -> None:
        """Drop all but some, given in increasing order."""
        self.count = len(rows)
        for array in (self._reduced, self._use, self._node):
            array[: self.count] = array[rows]

    def sorted(self, complete: float) -> Half:
        reduced, use = self.sums()
        order = np.argsort(reduced, kind="stable")
        parent, option = np.concatenate(self._parents), np.concatenate(self._options)
        return Half(reduced[order], use[order], self._node[order], parent, option, complete)

    def _make_room(self, count: int) -> None:
        size = len(self._reduced)
        if count <= size:
            return
        size = max(2 * size, count)
        self._reduced = np.resize(self._reduced, size)
        self._use = np.concatenate([self._use, np.zeros((size - len(self._use), self._use.shape[1]))])
        self._node = np.resize(self._node, size)


def _merged(relaxed: Relaxed, reduced: Array, use: Array) -> Whole:
    """The first of all partial picks that agree up to rounding."""
    steps = np.where(relaxed.options.tolerance > 0, relaxed.options.tolerance, 1e-12)
    scale = max(abs(relaxed.bound), 1e-12)
    words = np.rint(np.column_stack([reduced / (1e-11 * scale), use / steps])).astype(np.int64)
    odd = np.random.default_rng(0).integers(2**62, size=words.shape[1]) * 2 + 1
    mixed = (words * odd[None]).view(np.uint64)
    mixed ^= mixed >> np.uint64(29)
    marks = mixed.sum(axis=1, dtype=np.uint64)
    order = np.argsort(marks)
    starts = np.flatnonzero(np.diff(marks[order], prepend=marks[order[:1]] ^ np.uint64(1)))
    return np.sort(np.minimum.reduceat(order, starts))


def join(
    relaxed: Relaxed, left: Half, right: Half, reach: float, keep: int, pairs: int
) -> Joined:
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
        self._width = max(widths[self._strip], 1e-6 * spread[self._strip]) if self._strip >= 0 else 1
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
        return np.floor((use[:, self._strip] - self._origin[self._strip]) / self._width)

    def _strips_of(self, edge: Array) -> Array:
        if self._strip < 0:
            return np.zeros(len(edge))
        count = self._keys[-1] + 1 if len(self._keys) else 0.0
        return np.floor(np.clip(edge / self._width, -1.0, count))

    def _places(self, use: Array) -> Array:
        if self._within < 0:
            return np.zeros(len(use))
        return (use[:, self._within] - self._origin[self._within]) / self._spread

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
