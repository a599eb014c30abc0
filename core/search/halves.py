"""Near-best picks of options for two halves of the units, to be joined to whole picks.

A pick that adds little to the relaxed bound differs from the relaxed pick in a few units only, so
each half has few partial picks. Sources: Horowitz and Sahni, "Computing partitions with
applications to the knapsack problem", 1974 (two halves); Pisinger, "A minimal algorithm for the
multiple-choice knapsack problem", 1995 (a core around the relaxation).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.search.lagrangian import Array, Relaxed, Whole

MOST_STATES: Final = 1 << 20


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


def halves(
    relaxed: Relaxed, reach: float, merge: bool, most: int, sampled: bool = False
) -> tuple[Half, Half]:
    """Partial picks that add at most `reach`, of every other unit each.

    With `merge` one stands for all that agree in what they add and use. At most about `most` in
    each half: the cheapest, or with `sampled` those of some units at random.
    """
    units = _alternatives(relaxed, reach)
    if sampled:
        units = [units[i] for i in np.random.default_rng(1).permutation(len(units))]
    first, second = (
        _half(relaxed, part, reach, merge, most, sampled) for part in (units[0::2], units[1::2])
    )
    return first, second


def _alternatives(relaxed: Relaxed, reach: float) -> list[Whole]:
    """Options worth changing to, unit by unit, the unit with the cheapest change first."""
    worth = relaxed.reduced <= reach
    worth[relaxed.first] = False
    at = np.flatnonzero(worth)
    starts = np.flatnonzero(np.diff(relaxed.options.unit[at], prepend=-1))
    parts = np.split(at, starts[1:]) if len(at) else []
    # Neighbours tend to be alike: of equals, a mixture changes the uses in more ways.
    mixture = np.random.default_rng(0).permutation(len(parts))
    return sorted((parts[i] for i in mixture), key=lambda part: float(relaxed.reduced[part].min()))


def _half(
    relaxed: Relaxed, units: list[Whole], reach: float, merge: bool, most: int, sampled: bool
) -> Half:
    change = relaxed.options.use - relaxed.options.use[relaxed.first][relaxed.options.unit]
    grown = _Growing(change.shape[1])
    complete, look_at = reach, 64
    for unit in units:
        before = grown.count
        for option in unit.tolist():
            grown.extend(option, relaxed.reduced[option], change[option], before, reach)
        if merge and grown.count >= look_at:
            unmerged = grown.count
            grown.keep(_merged(relaxed, *grown.sums()))
            look_at = (2 if grown.count < 0.9 * unmerged else 8) * grown.count
        if grown.count > most and sampled:
            complete = -np.inf
            break
        if grown.count > most:
            # The cheapest stay; what may be added from here on is cheaper than what went.
            order = np.argpartition(grown.sums()[0], most)
            reach = min(reach, float(np.nextafter(grown.sums()[0][order[most]], -np.inf)))
            complete = reach
            grown.keep(np.sort(order[:most]))
            if reach < 0:
                break
    return grown.sorted(complete)


@final
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
        self._use = np.concatenate(
            [self._use, np.zeros((size - len(self._use), self._use.shape[1]))]
        )
        self._node = np.resize(self._node, size)


def _merged(relaxed: Relaxed, reduced: Array, use: Array) -> Whole:
    """The first of all partial picks that agree up to rounding."""
    steps = np.where(relaxed.options.tolerance > 0, relaxed.options.tolerance, 1e-12)
    scale = max(abs(relaxed.bound), 1e-12)
    words = np.rint(np.column_stack([reduced / (1e-11 * scale), use / steps])).astype(np.int64)
    odd = 2 * np.random.default_rng(0).integers(2**62, size=(1, words.shape[1])) + 1
    mixed = (words * odd).view(np.uint64)
    mixed ^= mixed >> np.uint64(29)
    marks: NDArray[np.uint64] = np.asarray(mixed.sum(axis=1, dtype=np.uint64))
    order = np.argsort(marks)
    starts = np.flatnonzero(np.r_[True, np.diff(marks[order]) > 0])
    firsts: Whole = np.minimum.reduceat(order, starts)
    return np.sort(firsts)
