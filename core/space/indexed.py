"""Dimensions whose code is an index: what choices and integers share."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.space.dimension import Codes, Dimension


@dataclass(frozen=True)
class Indexed(Dimension):
    """A dimension with `cardinality` values in one column; neighbours in index are one step away
    when it is `ordered`."""

    @property
    @abstractmethod
    def count(self) -> int:
        """Number of values."""

    @property
    @abstractmethod
    def ordered(self) -> bool:
        """Whether a step up or down in index is a small change."""

    @abstractmethod
    def layers(self) -> NDArray[np.int64] | None:
        """The values in index order where each is a number of layers, else None."""

    @property
    def columns(self) -> int:
        return 1

    @property
    def cardinality(self) -> int | None:
        return self.count

    @property
    def upper(self) -> float:
        return float(self.count - 1)

    def mutated(self, codes: Codes, rng: np.random.Generator) -> Codes:
        """Another value; half of the time a neighbouring one, where values have an order."""
        if self.count == 1:
            return codes
        other = (codes + rng.integers(1, self.count, size=codes.shape)) % self.count
        if not self.ordered:
            return other
        step = codes + rng.choice([-1.0, 1.0], size=codes.shape)
        step = np.where((step < 0) | (step > self.upper), 2 * codes - step, step)
        return np.where(rng.random(codes.shape) < 0.5, step, other)

    def corners(self) -> Codes:
        return np.array([[0.0], [self.count // 2], [self.upper]])

    def steps(self, code: Codes) -> Codes:
        at = float(code[0])
        near = [at - 1, at + 1] if self.ordered else [i for i in range(self.count) if i != at]
        inside = [i for i in near if 0 <= i <= self.upper]
        return np.array(inside, dtype=np.float64).reshape(-1, 1)
