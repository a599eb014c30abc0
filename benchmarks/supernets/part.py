"""What every part of the benchmark offers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from supernets.ground import Ground

Cell = dict[str, Any]


@dataclass(frozen=True)
class Report:
    """One table, the figures behind it, and whether what was to be reached was."""

    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    figures: Mapping[str, Any]
    reached: bool


@dataclass(frozen=True)
class Part:
    """`cell` works on one seed; `report` joins the cells by seed.

    `reads` names the sizes that a cell depends on; a part `apart` needs both cores to itself.
    """

    cell: Callable[[Ground], Cell]
    report: Callable[[Mapping[int, Cell]], Report]
    reads: tuple[str, ...]
    apart: bool = False
