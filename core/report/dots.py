"""Dots in layers, so that translucent ones darken where they lie on each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_NEAR: Final = 6.0
"""Dots closer than this, in pixels, overlap."""

_MOST: Final = 6


@dataclass(frozen=True)
class Dot:
    """An evaluation's place in the summary and on the canvas."""

    index: int
    x: float
    y: float


def layers(dots: Sequence[Dot]) -> list[list[Dot]]:
    """Split into layers without overlaps inside; the last one takes what fits nowhere.

    One path draws a layer: its dots share one opacity, so only layers add up.
    """
    found: list[list[Dot]] = []
    cells: list[dict[tuple[int, int], list[Dot]]] = []
    for dot in dots:
        level = next((i for i, taken in enumerate(cells) if _free(dot, taken)), len(cells))
        if level == len(cells) and level < _MOST:
            cells.append({})
            found.append([])
        level = min(level, _MOST - 1)
        cells[level].setdefault(_cell(dot), []).append(dot)
        found[level].append(dot)
    return found


def _cell(dot: Dot) -> tuple[int, int]:
    return int(dot.x // _NEAR), int(dot.y // _NEAR)


def _free(dot: Dot, taken: dict[tuple[int, int], list[Dot]]) -> bool:
    column, row = _cell(dot)
    return not any(
        (other.x - dot.x) ** 2 + (other.y - dot.y) ** 2 < _NEAR**2
        for i in (column - 1, column, column + 1)
        for j in (row - 1, row, row + 1)
        for other in taken.get((i, j), ())
    )
