"""What a weight search minimises, reduced to the numbers that weights meet.

No value depends on how many candidates are valued together: products are summed in the order of
the models, not by BLAS, whose order depends on shapes. A search is so the same in one process, in
several, one candidate at a time or all at once, bit for bit.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.search.ensembles.checking import BLOCK, Array

_GROUP: Final = 16
"""Factors under one logarithm: 16 probabilities of `FLOOR` are still a normal float64."""


class Objective(ABC):
    """A function of weights on the simplex, to be minimised."""

    convex: bool
    smooth: bool
    """Whether `gradient` is there."""

    @property
    @abstractmethod
    def models(self) -> int: ...

    @abstractmethod
    def values(self, weights: Array) -> Array:
        """Values (candidates,) of weights (candidates, models)."""

    @abstractmethod
    def gradient(self, weights: Array) -> Array:
        """Derivatives (models,) at weights (models,)."""

    @abstractmethod
    def restricted(self, members: Sequence[int]) -> Objective:
        """The same for some models, in their order."""

    def value(self, weights: Array) -> float:
        """The value of weights (models,)."""
        return float(self.values(weights[None])[0])


@final
class LogLoss(Objective):
    """-mean_n log sum_k w_k a_kn: log-loss of mixed probabilities, in nats a sample.

    `likelihoods` (models, samples) are the probabilities a of the targets, above 0.
    """

    convex = True
    smooth = True

    def __init__(self, likelihoods: Array) -> None:
        self.likelihoods = likelihoods
        models, samples = likelihoods.shape
        padded = np.ones((models, -(-samples // _GROUP) * _GROUP))
        padded[:, :samples] = likelihoods
        self._groups = padded.reshape(models, _GROUP, -1)

    @property
    def models(self) -> int:
        return len(self.likelihoods)

    def values(self, weights: Array) -> Array:
        found = []
        for part in parts(weights, self._groups[0].size):
            product = np.multiply.reduce(weighted(part, self._groups), axis=1)
            found.append(-np.log(product).sum(-1) / self.likelihoods.shape[1])
        return np.concatenate(found)

    def gradient(self, weights: Array) -> Array:
        return np.asarray(-(self.likelihoods / (weights @ self.likelihoods)).mean(1))

    def restricted(self, members: Sequence[int]) -> LogLoss:
        return LogLoss(self.likelihoods[list(members)])


@final
class Brier(Objective):
    """mean_n sum_c (sum_k w_k p_knc - y_nc)^2 = w'Gw - 2 b'w + 1, of mixed probabilities.

    `gram` (models, models) is mean_n sum_c p_knc p_lnc, and `linear` (models,) the mean
    probability of the target.
    """

    convex = True
    smooth = True

    def __init__(self, gram: Array, linear: Array) -> None:
        self.gram, self.linear = gram, linear

    @property
    def models(self) -> int:
        return len(self.linear)

    def values(self, weights: Array) -> Array:
        products = weighted(weights, self.gram) - 2 * self.linear
        return np.asarray(1 + weighted_sum(weights, products))

    def gradient(self, weights: Array) -> Array:
        return np.asarray(2 * (self.gram @ weights - self.linear))

    def restricted(self, members: Sequence[int]) -> Brier:
        own = list(members)
        return Brier(self.gram[np.ix_(own, own)], self.linear[own])


@final
class Proxy(Objective):
    """Any function of weights (models,), such as the loss of a student trained briefly."""

    convex = False
    smooth = False

    def __init__(
        self, function: Callable[[Array], float], models: int, members: Sequence[int] | None = None
    ) -> None:
        self._function, self._all = function, models
        self._members = list(range(models)) if members is None else list(members)

    @property
    def models(self) -> int:
        return len(self._members)

    def values(self, weights: Array) -> Array:
        full = np.zeros((len(weights), self._all))
        full[:, self._members] = weights
        return np.array([self._function(row) for row in full])

    def gradient(self, weights: Array) -> Array:
        raise NotImplementedError("a function of weights has no gradient here")

    def restricted(self, members: Sequence[int]) -> Proxy:
        return Proxy(self._function, self._all, [self._members[m] for m in members])


def parts(weights: Array, row: int) -> Iterator[Array]:
    """Weights (candidates, models) in parts of bounded work, a candidate taking `row` numbers."""
    size = max(1, BLOCK // row)
    for first in range(0, len(weights), size):
        yield weights[first : first + size]


def weighted(weights: Array, rows: NDArray[Any]) -> Array:
    """Sums over models: (candidates, models) and (models, *shape) to (candidates, *shape)."""
    spread = weights.reshape(*weights.shape, *(1,) * (rows.ndim - 1))
    total: Array = np.multiply(rows[0], spread[:, 0], dtype=np.float64)
    spare = np.empty_like(total)
    for model in range(1, len(rows)):
        total += np.multiply(rows[model], spread[:, model], out=spare)
    return total


def weighted_sum(weights: Array, rows: Array) -> Array:
    """Sums over models of (candidates, models) times (candidates, models)."""
    total: Array = weights[:, 0] * rows[:, 0]
    for model in range(1, weights.shape[1]):
        total += weights[:, model] * rows[:, model]
    return total
