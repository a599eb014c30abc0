"""What a conversion leaves as it is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Rigid:
    """A part of a network that no gene changes, and why."""

    part: str
    why: str

    def __str__(self) -> str:
        return f"{self.part}: {self.why}"
