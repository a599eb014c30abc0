"""Where the cells of a similarity matrix stand on the page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, final

from stillhouse.core.report.similarity import LayerSimilarity

TOP: Final = 44.0
"""Pixels above the cells, for titles and the band of clusters."""


@final
@dataclass(frozen=True)
class Sheet:
    """Where the map stands: its left edge and its longest side, in pixels; `letters` of a name.

    `right` is what stands right of it: the student's layers, unless `compact`.
    """

    left: float
    side: float
    strip: float
    letters: int
    right: float
    compact: bool


WIDE: Final = Sheet(172, 520, 14, 16, 300, compact=False)
NARROW: Final = Sheet(122, 270, 10, 11, 8, compact=True)


@final
@dataclass(frozen=True)
class Grid:
    """The square of cells: a layer's band begins at `at` and is `cell` pixels wide."""

    found: LayerSimilarity
    sheet: Sheet

    @property
    def cell(self) -> float:
        return min(self.sheet.side / len(self.found.layers), 64.0)

    @property
    def side(self) -> float:
        return self.cell * len(self.found.layers)

    @property
    def left(self) -> float:
        return self.sheet.left

    @property
    def right(self) -> float:
        return self.left + self.side

    @property
    def bottom(self) -> float:
        return TOP + self.side

    @property
    def width(self) -> float:
        """Of the whole drawing."""
        beside = self.sheet.right if self.found.pairs or self.sheet.compact else 8.0
        least = self.left + 190.0
        return max(self.right + beside, least)

    def row(self, layer: float) -> float:
        """The middle of a layer's row."""
        return TOP + self.cell * (layer + 0.5)

    def column(self, layer: float) -> float:
        return self.left + self.cell * (layer + 0.5)
