"""Genes of a traced network, by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from stillhouse.core.errors import UserError
from stillhouse.core.space import Choice

When = tuple[str, tuple[Any, ...]] | None
"""The depth gene and its values with which something is in use; None: always."""


@dataclass(frozen=True)
class Gene:
    """One thing that can change: `allowed` lie within the weights, `choices` are worth a search.

    Active when the depth gene named in `when` has one of the values there.
    """

    name: str
    allowed: Sequence[Any]
    choices: tuple[Any, ...]
    when: When = None

    @property
    def full(self) -> Any:
        return self.allowed[-1]

    def checked(self, value: Any) -> Any:
        """The value; UserError unless it is allowed."""
        if value not in self.allowed:
            raise UserError(f"{self.name}: expected {_listed(self.allowed)}, came {value!r}")
        return value

    def dimension(self) -> Choice:
        return Choice(self.name, self.choices, when=self.when)


def gene_name(part: str, what: str) -> str:
    """`<part>.<what>`; parts of a nameless sequence, which begin with a digit, go under `model`."""
    return f"{part}.{what}" if part[:1].isalpha() else f"model.{part}.{what}".replace("..", ".")


def _listed(allowed: Sequence[Any]) -> str:
    if isinstance(allowed, range) and len(allowed) > 4:
        return f"{allowed[0]} to {allowed[-1]} in steps of {allowed.step}"
    return ", ".join(str(value) for value in allowed)
