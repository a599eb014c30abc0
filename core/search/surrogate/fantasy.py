"""Predictions at fixed inputs, while one after the other is believed to come true."""

from __future__ import annotations

from collections.abc import Callable
from typing import final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@final
class Fantasy:
    """Means and deviations, each (n,), at inputs some of which are believed.

    A process that has seen its own predictions come true keeps its means; its deviations follow
    by a row of a Cholesky factor each, at the price of n times the observations. Equal to
    extending the factor. Source: Ginsbourger et al., "Kriging is well-suited to parallelize
    optimization", 2010.
    """

    def __init__(
        self,
        mean: Array,
        left: Array,
        shared: Callable[[int], Array],
        noise: float,
        surprise: float,
        count: int,
    ) -> None:
        """`left` (n,) is the variance and `shared` the covariance (n,) with one of the inputs.

        Both, and `noise`, are in units of the signal's variance, which is `surprise` over the
        `count` of observations.
        """
        self.mean = mean
        self._left, self._shared, self._noise = left, shared, noise
        self._surprise, self._count = surprise, count
        self._rows = np.empty((0, len(mean)))

    @property
    def spread(self) -> Array:
        """Deviations without noise, (n,)."""
        variance = max(self._surprise / self._count, 1e-12)
        return np.sqrt(variance * np.maximum(self._left, 1e-12))

    def believe(self, place: int) -> None:
        """Take the mean at one of the inputs for what was observed there."""
        row = self._shared(place) - self._rows.T @ self._rows[:, place]
        row /= np.sqrt(max(float(row[place]), 0.0) + self._noise)
        self._left = self._left - row * row
        self._rows = np.concatenate([self._rows, row[None]])
        self._count += 1
