"""The best evaluation so far, for whoever watches."""

from __future__ import annotations

from typing import final

from stillhouse.core.run.goals import Goals, known_of
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
