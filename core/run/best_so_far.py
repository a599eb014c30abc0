"""The best evaluation so far, for whoever watches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import numpy as np

from stillhouse.core.run.goals import Goals, column, known_of
from stillhouse.core.run.ledger import Entry


@final
class BestSoFar:
    """The best first objective among evaluations within the limits; higher rungs go first."""

    def __init__(self, goals: Goals) -> None:
        self._goals, self._first = goals, goals.objectives[0]
        self._limited = bool(goals.outcomes)
        self._standing: tuple[float, float] | None = None
        self._text = ""

    def after(self, entry: Entry) -> str:
        """What to show once this evaluation is done."""
        if entry.values and self._goals.violation(known_of(entry) if self._limited else {}) == 0:
            name = self._first.name
            value = entry.values[name] if name in entry.values else entry.costs[name]
            standing = (-(entry.fidelity or 0.0), self._first.sign * value)
            if self._standing is None or standing < self._standing:
                self._standing, self._text = standing, f"best {self._first.name} {value:.4f}"
        return self._text

    def among(self, entries: Sequence[Entry]) -> str:
        """What to show once all of these are done, perhaps a million."""
        if self._limited:
            for entry in entries:
                self.after(entry)
            return self._text
        values = self._first.sign * column(entries, self._first.name)
        sound = np.isfinite(values)
        if sound.any():
            shares = np.array([entry.fidelity or 0.0 for entry in entries])
            values[~sound | (shares < shares[sound].max())] = np.inf
            self.after(entries[int(np.argmin(values))])
        return self._text
