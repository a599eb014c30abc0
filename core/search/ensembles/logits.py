"""Objectives of mixed logits, which need every class."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.search.ensembles.checking import Array, blocks
from stillhouse.core.search.ensembles.objective import Objective, weighted


@final
class LogitMixture(Objective):
    """Log-loss (convex), or Brier score, of softmax(sum_k w_k z_k / T).

    `rises` (models, samples, classes) are logits less the target's: with s = sum_k w_k rises_k / T
    and S = sum_c exp(s_c), log-loss is mean log S, and Brier score mean sum_c exp(2 s_c) / S^2
    - 2 / S + 1. No exponent overflows: logarithms are floored and T is 1/4 or more.
    """

    smooth = True

    def __init__(self, rises: NDArray[Any], temperature: float, loss: str) -> None:
        self._rises, self._temperature, self._loss = rises, temperature, loss
        self.convex = loss == "log_loss"

    @property
    def models(self) -> int:
        return len(self._rises)

    def values(self, weights: Array) -> Array:
        return np.array([self._value(row[None]) for row in weights])

    def gradient(self, weights: Array) -> Array:
        total = np.zeros(self.models)
        for rises in self._blocks():
            raised = np.exp(weighted(weights[None] / self._temperature, rises)[0])
            total += np.tensordot(rises, self._slopes(raised), 2)
        return np.asarray(total / (self._samples * self._temperature))

    def restricted(self, members: Sequence[int]) -> LogitMixture:
        return LogitMixture(self._rises[list(members)], self._temperature, self._loss)

    @property
    def _samples(self) -> int:
        return int(self._rises.shape[1])

    def _blocks(self) -> Iterator[NDArray[Any]]:
        for block in blocks(self._samples, self._rises.shape[2]):
            yield self._rises[:, block]

    def _value(self, weights: Array) -> float:
        total = 0.0
        for rises in self._blocks():
            raised = np.exp(weighted(weights / self._temperature, rises)[0])
            sums = raised.sum(-1)
            if self._loss == "log_loss":
                total += float(np.log(sums).sum())
            else:
                total += float(((raised**2).sum(-1) / sums**2 - 2 / sums + 1).sum())
        return total / self._samples

    def _slopes(self, raised: Array) -> Array:
        """Derivatives (samples, classes) of a sample's loss by s, from exp(s)."""
        sums = raised.sum(-1, keepdims=True)
        shares = raised / sums
        if self._loss == "log_loss":
            return np.asarray(shares)
        return np.asarray(2 * shares * (shares - (shares**2).sum(-1, keepdims=True) + 1 / sums))
