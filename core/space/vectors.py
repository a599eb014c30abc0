"""Dimensions whose genes are vectors: points on the simplex, tuples of taps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.space.dimension import Codes, Dimension, number, whole

_MOST_TAPS = 10_000
_MOST_WEIGHTS = 10_000
_TOLERANCE = 1e-9  # by how much the weights of a simplex may miss 1


@final
@dataclass(frozen=True)
class Simplex(Dimension):
    """`size` non-negative weights that sum to 1, drawn evenly: Dirichlet(1, ..., 1)."""

    size: int

    def problem(self) -> str | None:
        fits = whole(self.size) and 2 <= self.size <= _MOST_WEIGHTS
        expected = f"a simplex needs a size of 2 or more, at most {_MOST_WEIGHTS}"
        return None if fits else f"{expected}, got {self.size!r}"

    @property
    def columns(self) -> int:
        return self.size

    @property
    def cardinality(self) -> int | None:
        return None

    @property
    def upper(self) -> float:
        return 1.0

    @property
    def features(self) -> int:
        return self.size

    @property
    def expected(self) -> str:
        return f"{self.size} non-negative numbers that sum to 1"

    def draw(self, shape: tuple[int, int], rng: np.random.Generator) -> Codes:
        return _normalised(rng.standard_exponential((*shape, self.size)))

    def mutated(self, codes: Codes, rng: np.random.Generator) -> Codes:
        """Moves part of the way, evenly drawn, towards a fresh point; stays on the simplex."""
        target = self.draw((int(np.prod(codes.shape[:-1])), 1), rng).reshape(codes.shape)
        share = rng.random((*codes.shape[:-1], 1))
        return _normalised((1 - share) * codes + share * target)

    def values(self, codes: Codes) -> NDArray[Any]:
        return codes.copy()

    def scaled(self, codes: Codes) -> Codes:
        return codes

    def corners(self) -> Codes:
        ends = np.eye(self.size)
        return np.stack([ends[0], np.full(self.size, 1 / self.size), ends[-1]])

    def steps(self, code: Codes) -> Codes:
        return np.empty((0, self.size))

    def decode(self, code: Sequence[float]) -> Any:
        return [float(weight) for weight in code]

    def encode(self, value: object) -> Sequence[float] | None:
        if not isinstance(value, (list, tuple)) or len(value) != self.size:
            return None
        if not all(number(weight) and weight >= 0 for weight in value):
            return None
        return None if abs(math.fsum(value) - 1) > _TOLERANCE else tuple(map(float, value))


@final
@dataclass(frozen=True)
class Taps(Dimension):
    """A strictly increasing tuple of `count` of the indices 0 .. total - 1."""

    count: int
    total: int

    def problem(self) -> str | None:
        if not (whole(self.count) and whole(self.total)):
            return f"count and total must be whole, got {self.count!r} and {self.total!r}"
        fits = 1 <= self.count <= self.total <= _MOST_TAPS
        return None if fits else f"expected 1 <= count <= total, got {self.count} of {self.total}"

    @property
    def columns(self) -> int:
        return self.count

    @property
    def cardinality(self) -> int | None:
        return math.comb(self.total, self.count)

    @property
    def upper(self) -> float:
        return float(self.total - 1)

    @property
    def features(self) -> int:
        return self.count if self.total > self.count else 0

    @property
    def expected(self) -> str:
        return f"{self.count} strictly increasing whole numbers from 0 to {self.total - 1}"

    def draw(self, shape: tuple[int, int], rng: np.random.Generator) -> Codes:
        order = rng.random((*shape, self.total)).argsort(-1)[..., : self.count]
        return np.sort(order, -1).astype(np.float64)

    def mutated(self, codes: Codes, rng: np.random.Generator) -> Codes:
        """Exchanges one tap for an unused index, evenly drawn."""
        if self.count == self.total:
            return codes
        used = (codes[..., None] == np.arange(self.total)).any(-2)
        fresh = np.where(used, -1.0, rng.random(used.shape)).argmax(-1)
        gone = rng.integers(self.count, size=codes.shape[:-1])
        swap = np.arange(self.count) == gone[..., None]
        return np.sort(np.where(swap, fresh[..., None], codes), -1)

    def values(self, codes: Codes) -> NDArray[Any]:
        return codes.copy()

    def scaled(self, codes: Codes) -> Codes:
        return codes[..., : self.features] / max(self.upper, 1)

    def corners(self) -> Codes:
        first = np.arange(self.count)
        spare = self.total - self.count
        middle = first + np.floor((first + 1) * spare / (self.count + 1))
        return np.stack([first, middle, first + spare]).astype(np.float64)

    def steps(self, code: Codes) -> Codes:
        moves = np.concatenate([np.eye(self.count), -np.eye(self.count)]) + code
        inside = (moves >= 0).all(-1) & (moves < self.total).all(-1)
        return moves[inside & (np.diff(moves, axis=-1) > 0).all(-1)]

    def decode(self, code: Sequence[float]) -> Any:
        return [int(tap) for tap in code]

    def encode(self, value: object) -> Sequence[float] | None:
        if not isinstance(value, (list, tuple)) or len(value) != self.count:
            return None
        if not all(whole(tap) and 0 <= tap < self.total for tap in value):
            return None
        rising = all(a < b for a, b in pairwise(value))
        return tuple(map(float, value)) if rising else None


def _normalised(weights: Codes) -> Codes:
    normalised: Codes = weights / weights.sum(-1, keepdims=True)
    return normalised
