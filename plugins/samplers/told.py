"""What a sampler was told and can learn from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.search import Codes, Objective

Array = NDArray[np.float64]


@final
class Told:
    """Evaluations that did not fail, in the order they came.

    `codes` (n, width), `values` (n, objectives) all minimised, `violation` (n,) the sum of what
    breaks limits on measured values.
    """

    def __init__(self, width: int, objectives: Sequence[Objective]) -> None:
        self._signs = np.array([objective.sign for objective in objectives])
        self.codes: Codes = np.empty((0, width))
        self.values: Array = np.empty((0, len(objectives)))
        self.violation: Array = np.empty(0)

    def add(self, codes: Codes, values: Array, excess: Array | None) -> None:
        """Results as in `Sampler.tell`."""
        over = np.zeros((len(codes), 0)) if excess is None else excess
        sound = np.isfinite(values).all(axis=1) & np.isfinite(over).all(axis=1)
        self.codes = np.concatenate([self.codes, codes[sound]])
        self.values = np.concatenate([self.values, values[sound] * self._signs])
        broken = np.maximum(over[sound], 0.0).sum(axis=1)
        self.violation = np.concatenate([self.violation, broken])

    def keep(self, order: NDArray[np.int64]) -> None:
        """Only these evaluations, in this order."""
        self.codes, self.values = self.codes[order], self.values[order]
        self.violation = self.violation[order]
