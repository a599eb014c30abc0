"""Which candidates are known already, as sorted marks: one look-up serves thousands."""

from __future__ import annotations

from typing import Final, final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.space.hashing import Marks

_RECENT: Final = 1024

Flags = NDArray[np.bool_]
Places = NDArray[np.intp]


@final
class Seen:
    """A growing set of marks of candidates; see `Space.marks`."""

    def __init__(self) -> None:
        self._settled: Marks = np.empty(0, dtype=np.uint64)
        self._recent: Marks = np.empty(0, dtype=np.uint64)

    def __len__(self) -> int:
        return len(self._settled) + len(self._recent)

    def add(self, marks: Marks) -> None:
        """Take marks in; those already known stay once."""
        self.take(marks)

    def take(self, marks: Marks) -> Places:
        """Take marks in; places of those that were not known, as `new` has them."""
        distinct, first = np.unique(marks, return_index=True)
        fresh = ~self.holds(distinct)
        self._recent = np.sort(np.concatenate([self._recent, distinct[fresh]]))
        # Merging only when the recent part has grown in proportion keeps adding linear in all.
        if len(self._recent) > max(_RECENT, len(self._settled) // 4):
            self._settled = np.sort(np.concatenate([self._settled, self._recent]))
            self._recent = self._recent[:0]
        return np.sort(first[fresh])

    def new(self, marks: Marks) -> Places:
        """Places of the marks that are not known, the first of equals only, increasing."""
        distinct, first = np.unique(marks, return_index=True)
        return np.sort(first[~self.holds(distinct)])

    def holds(self, marks: Marks) -> Flags:
        """Which marks are known, (n,)."""
        return _found(self._settled, marks) | _found(self._recent, marks)


def _found(known: Marks, marks: Marks) -> Flags:
    if not len(known):
        return np.zeros(len(marks), dtype=np.bool_)
    at = np.minimum(np.searchsorted(known, marks), len(known) - 1)
    return np.asarray(known[at] == marks)
