"""Tables that grow a few rows at a time, in time that is linear in all."""

from __future__ import annotations

from typing import final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@final
class Rows:
    """A table (n, width) of numbers that rows are added to."""

    def __init__(self, width: int) -> None:
        self._room: Array = np.empty((0, width))
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def all(self) -> Array:
        """Every row as it is now, (n, width); not to be written to."""
        return self._room[: self._count]

    def add(self, rows: Array) -> None:
        """Take rows (k, width) in, after all others."""
        count = self._count + len(rows)
        if count > len(self._room):
            room = np.empty((max(count, 2 * len(self._room)), self._room.shape[1]))
            room[: self._count] = self.all
            self._room = room
        self._room[self._count : count] = rows
        self._count = count

    def keep(self, places: NDArray[np.int64]) -> None:
        """Only these rows, in this order."""
        kept = self.all[places]
        self._count = len(kept)
        self._room[: self._count] = kept
