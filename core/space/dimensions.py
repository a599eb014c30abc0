"""Dimensions whose genes are scalars: choices, whole numbers, real numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.space.dimension import Codes, Dimension, number, whole
from stillhouse.core.space.indexed import Indexed

_MOST = 2**53  # codes are float64: larger indices would not be exact
_MOST_LAYERS = 10_000
_DIGITS = 13  # reals are published with so many, so that encoding and decoding is idempotent


@final
@dataclass(frozen=True)
class Choice(Indexed):
    """One of a few scalars: text, booleans or numbers. Equal numbers are one choice."""

    choices: tuple[Any, ...]

    def problem(self) -> str | None:
        if not self.choices:
            return "expected at least one choice, got none"
        for choice in self.choices:
            if not (isinstance(choice, (str, bool)) or number(choice)):
                return f"a choice must be text, true or false, or a finite number; got {choice!r}"
        keys = [_key(choice) for choice in self.choices]
        if len(set(keys)) == len(keys):
            return None
        twice = next(key for i, key in enumerate(keys) if key in keys[:i])
        return f"the choice {twice[1]!r} is listed twice"

    @cached_property
    def options(self) -> tuple[Any, ...]:
        """The choices in index order: numbers increasing, others as listed."""
        return tuple(sorted(self.choices)) if self.ordered else tuple(self.choices)

    @cached_property
    def _index(self) -> dict[tuple[bool, Any], int]:
        return {_key(option): i for i, option in enumerate(self.options)}

    @cached_property
    def _table(self) -> NDArray[Any]:
        table = np.empty(self.count, dtype=np.float64 if self.ordered else object)
        table[:] = self.options
        return table

    @property
    def count(self) -> int:
        return len(self.choices)

    @cached_property
    def ordered(self) -> bool:
        return all(number(choice) for choice in self.choices)

    @property
    def features(self) -> int:
        return (self.count > 1) * (1 if self.ordered else self.count)

    @property
    def expected(self) -> str:
        return "one of " + ", ".join(str(option) for option in self.options)

    def layers(self) -> NDArray[np.int64] | None:
        fits = all(whole(c) and 0 <= c <= _MOST_LAYERS for c in self.choices)
        return np.array(self.options, dtype=np.int64) if fits else None

    def draw(self, shape: tuple[int, int], rng: np.random.Generator) -> Codes:
        return rng.integers(self.count, size=(*shape, 1)).astype(np.float64)

    def values(self, codes: Codes) -> NDArray[Any]:
        chosen: NDArray[Any] = self._table[codes[..., 0].astype(np.int64)]
        return chosen

    def scaled(self, codes: Codes) -> Codes:
        if self.features <= 1:
            return codes[..., : self.features] / max(self.upper, 1)
        return np.equal(codes, np.arange(self.count)).astype(np.float64)

    def decode(self, code: Sequence[float]) -> Any:
        return self.options[int(code[0])]

    def encode(self, value: object) -> Sequence[float] | None:
        known = isinstance(value, (str, bool)) or number(value)
        index = self._index.get(_key(value)) if known else None
        return None if index is None else (float(index),)


@final
@dataclass(frozen=True)
class Integer(Indexed):
    """Whole numbers from `low` to `high` in `step`s; `log` draws them evenly on a log scale."""

    low: int
    high: int
    step: int = 1
    log: bool = False

    def problem(self) -> str | None:
        if not (whole(self.low) and whole(self.high) and whole(self.step)):
            return f"low, high and step must be whole: {self.low!r}, {self.high!r}, {self.step!r}"
        if self.step < 1 or self.high < self.low:
            return f"expected low <= high and step >= 1: {self.low}, {self.high}, {self.step}"
        if rest := (self.high - self.low) % self.step:
            return (
                f"steps of {self.step} from {self.low} end at {self.high - rest}, not {self.high}"
            )
        if max(self.count, abs(self.low), abs(self.high)) > _MOST:
            return f"values must fit within ±2^53; got {self.low} to {self.high}"
        return f"log needs low >= 1, got {self.low}" if self.log and self.low < 1 else None

    @property
    def count(self) -> int:
        return (self.high - self.low) // self.step + 1

    @property
    def ordered(self) -> bool:
        return True

    @property
    def features(self) -> int:
        return int(self.count > 1)

    @property
    def expected(self) -> str:
        by = f" in steps of {self.step}" if self.step > 1 else ""
        return f"a whole number from {self.low} to {self.high}{by}"

    def layers(self) -> NDArray[np.int64] | None:
        if self.low < 0 or self.high > _MOST_LAYERS:
            return None
        return np.arange(self.low, self.high + 1, self.step)

    def draw(self, shape: tuple[int, int], rng: np.random.Generator) -> Codes:
        if not self.log:
            return rng.integers(self.count, size=(*shape, 1)).astype(np.float64)
        # Each value owns half a step either side; the lowest never reaches zero.
        low, high = self.low - min(self.step, self.low) / 2, self.high + self.step / 2
        drawn = np.exp(rng.uniform(math.log(low), math.log(high), (*shape, 1)))
        return np.clip(np.round((drawn - self.low) / self.step), 0, self.upper)

    def values(self, codes: Codes) -> NDArray[Any]:
        return self.low + self.step * codes[..., 0]

    def scaled(self, codes: Codes) -> Codes:
        if not self.log or self.count == 1:
            return codes[..., : self.features] / max(self.upper, 1)
        values = np.maximum(self.low + self.step * codes, 1)
        return np.clip(np.log(values / self.low) / math.log(self.high / self.low), 0, 1)

    def decode(self, code: Sequence[float]) -> Any:
        return self.low + self.step * int(code[0])

    def encode(self, value: object) -> Sequence[float] | None:
        if not number(value) or value != int(value):  # type: ignore[call-overload]
            return None
        index, rest = divmod(int(value) - self.low, self.step)  # type: ignore[call-overload]
        return None if rest or not 0 <= index < self.count else (float(index),)


@final
@dataclass(frozen=True)
class Real(Dimension):
    """Real numbers from `low` to `high`, evenly drawn, on a log scale if `log`."""

    low: float
    high: float
    log: bool = False

    def problem(self) -> str | None:
        if not (number(self.low) and number(self.high) and self.low < self.high):
            return f"expected finite low < high, got {self.low!r} and {self.high!r}"
        return f"log needs low > 0, got {self.low}" if self.log and self.low <= 0 else None

    @property
    def columns(self) -> int:
        return 1

    @property
    def cardinality(self) -> int | None:
        return None

    @property
    def upper(self) -> float:
        return 1.0

    @property
    def features(self) -> int:
        return 1

    @property
    def expected(self) -> str:
        return f"a number from {self.low:g} to {self.high:g}"

    def draw(self, shape: tuple[int, int], rng: np.random.Generator) -> Codes:
        return rng.random((*shape, 1))

    def mutated(self, codes: Codes, rng: np.random.Generator) -> Codes:
        """Half of the time a fresh draw, else a step of a tenth of the range, reflected."""
        step = np.abs(codes + 0.1 * rng.standard_normal(codes.shape))
        step = np.clip(np.where(step > 1, 2 - step, step), 0, 1)
        return np.where(rng.random(codes.shape) < 0.5, step, rng.random(codes.shape))

    def values(self, codes: Codes) -> NDArray[Any]:
        unit = codes[..., 0]
        if self.log:
            raw = self.low * np.exp(unit * math.log(self.high / self.low))
        else:
            raw = self.low + unit * (self.high - self.low)
        return np.clip(raw, self.low, self.high)

    def scaled(self, codes: Codes) -> Codes:
        return codes

    def corners(self) -> Codes:
        return np.array([[0.0], [0.5], [1.0]])

    def steps(self, code: Codes) -> Codes:
        return np.empty((0, 1))

    def decode(self, code: Sequence[float]) -> Any:
        if self.log:
            raw = float(self.values(np.array(code)))
            rounded = float(f"{raw:.{_DIGITS}g}")
        else:
            raw = min(max(self.low + code[0] * (self.high - self.low), self.low), self.high)
            largest = max(abs(self.low), abs(self.high))
            rounded = round(raw, _DIGITS - math.ceil(math.log10(largest)))
        return min(max(rounded, float(self.low)), float(self.high))

    def encode(self, value: object) -> Sequence[float] | None:
        if not number(value) or not self.low <= value <= self.high:  # type: ignore[operator]
            return None
        if self.log:
            unit = math.log(value / self.low) / math.log(self.high / self.low)  # type: ignore[operator]
        else:
            unit = (value - self.low) / (self.high - self.low)  # type: ignore[operator]
        return (min(max(unit, 0.0), 1.0),)


def _key(value: Any) -> tuple[bool, Any]:
    return isinstance(value, bool), value  # True == 1 in Python, not in a search space
