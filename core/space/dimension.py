"""What every dimension of a search space offers, whatever its kind."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.errors import ConfigError

Codes = NDArray[np.float64]
"""Codes of genes; the last axis holds the `columns` of one gene, -1 where inactive."""

_NAME = re.compile(r"[A-Za-z_][\w.-]*")


@dataclass(frozen=True)
class Dimension(ABC):
    """One searched quantity: a gene, or with `per` one gene a layer.

    `when` is (parent, values): the dimension exists only while the parent has one of the values.
    `per` names an integer-valued dimension that says how many layers have a gene of their own.
    Both together need a parent with the same `per`; the condition then holds layer by layer.
    """

    name: str
    _: KW_ONLY
    when: tuple[str, tuple[Any, ...]] | None = None
    per: str | None = None

    def __post_init__(self) -> None:
        """Raise ConfigError when the declaration contradicts itself."""
        if not _NAME.fullmatch(self.name):
            raise ConfigError(
                f"dimension name {self.name!r}: expected a letter, then letters, digits, '_', '-'"
            )
        if self.when is not None and not self.when[1]:
            raise ConfigError(f"dimension '{self.name}': 'when' names no value of its parent")
        if problem := self.problem():
            raise ConfigError(f"dimension '{self.name}': {problem}")

    def __str__(self) -> str:
        per = f", for each of {self.per}" if self.per else ""
        when = (
            f", when {self.when[0]} is {' or '.join(map(str, self.when[1]))}" if self.when else ""
        )
        return f"{self.name}: {self.expected}{per}{when}"

    @property
    @abstractmethod
    def columns(self) -> int:
        """Code columns of one gene."""

    @property
    @abstractmethod
    def cardinality(self) -> int | None:
        """Number of values of one gene; None when they are a continuum."""

    @property
    @abstractmethod
    def upper(self) -> float:
        """Largest valid code in a column."""

    @property
    @abstractmethod
    def features(self) -> int:
        """Columns of `scaled`."""

    @property
    @abstractmethod
    def expected(self) -> str:
        """Valid values, for messages: "one of 8, 10, 12"."""

    @abstractmethod
    def problem(self) -> str | None:
        """What is wrong with the declaration (None when nothing is)."""

    @abstractmethod
    def draw(self, shape: tuple[int, int], rng: np.random.Generator) -> Codes:
        """Random genes, (*shape, columns): uniform over the values, or on the scale."""

    @abstractmethod
    def mutated(self, codes: Codes, rng: np.random.Generator) -> Codes:
        """A changed copy of valid genes (..., columns), still valid."""

    @abstractmethod
    def values(self, codes: Codes) -> NDArray[Any]:
        """Values of genes (..., columns) as (...) or (..., columns); a new array.

        Genes that are inactive get arbitrary values.
        """

    @abstractmethod
    def scaled(self, codes: Codes) -> Codes:
        """Genes (..., columns) as (..., features) numbers within [0, 1] for surrogates."""

    @abstractmethod
    def corners(self) -> Codes:
        """Lowest, middle and highest gene, (3, columns)."""

    @abstractmethod
    def steps(self, code: Codes) -> Codes:
        """Genes one step from a gene (columns,), as (steps, columns); none on a continuum."""

    @abstractmethod
    def decode(self, code: Sequence[float]) -> Any:
        """One gene's value as plain Python."""

    @abstractmethod
    def encode(self, value: object) -> Sequence[float] | None:
        """One value's code, or None when the value is not in the dimension."""


def number(value: object) -> bool:
    """Whether a value is a finite int or float (a bool is not)."""
    real = isinstance(value, (int, float)) and not isinstance(value, bool)
    return real and bool(np.isfinite(value))  # type: ignore[call-overload]


def whole(value: object) -> bool:
    """Whether a value is an int (a bool is not)."""
    return isinstance(value, int) and not isinstance(value, bool)
