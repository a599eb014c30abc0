"""What a sampler was told and can learn from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.search import Codes, Objective, Rows

Array = NDArray[np.float64]


@final
class Told:
    """Evaluations that did not fail, in the order they came."""

    def __init__(self, width: int, objectives: Sequence[Objective]) -> None:
        self._signs = np.array([objective.sign for objective in objectives])
        self._codes, self._values, self._violation = Rows(width), Rows(len(objectives)), Rows(1)

    def __len__(self) -> int:
        return len(self._codes)

    @property
    def codes(self) -> Codes:
        """Candidates (n, width)."""
        return self._codes.all

    @property
    def values(self) -> Array:
        """Their objectives (n, objectives), all minimised."""
        return self._values.all

    @property
    def violation(self) -> Array:
        """The sum of what breaks limits on measured values, (n,)."""
        return self._violation.all[:, 0]

    def add(self, codes: Codes, values: Array, excess: Array | None) -> NDArray[np.bool_]:
        """Results as in `Sampler.tell`; returns which of them did not fail, (candidates,)."""
        over = np.zeros((len(codes), 0)) if excess is None else excess
        sound = np.isfinite(values).all(axis=1) & np.isfinite(over).all(axis=1)
        self._codes.add(codes[sound])
        self._values.add(values[sound] * self._signs)
        self._violation.add(np.maximum(over[sound], 0.0).sum(axis=1)[:, None])
        return np.asarray(sound)

    def keep(self, order: NDArray[np.int64]) -> None:
        """Only these evaluations, in this order."""
        for rows in (self._codes, self._values, self._violation):
            rows.keep(order)
