"""Direct labels that overlap neither each other nor what they stand beside."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

_LETTER, _LINE, _GAP = 7.8, 16.0, 12.0
"""Mean letter of a wide font, line height and distance to the marker at 13 px, in pixels."""

_DIRECTIONS = ((1, 0), (-1, 0), (1, -1), (-1, -1), (1, 1), (-1, 1), (0, -1), (0, 1))


@final
@dataclass(frozen=True)
class Box:
    """A rectangle in pixels, y pointing down."""

    left: float
    top: float
    right: float
    bottom: float

    def overlap(self, other: Box) -> float:
        """Area shared with another rectangle."""
        across = min(self.right, other.right) - max(self.left, other.left)
        down = min(self.bottom, other.bottom) - max(self.top, other.top)
        return max(0.0, across) * max(0.0, down)

    def outside(self, bounds: Box) -> float:
        """Area that lies beyond the bounds."""
        area = (self.right - self.left) * (self.bottom - self.top)
        return area - self.overlap(bounds)

    def covered(self, points: NDArray[np.float64]) -> int:
        """How many points, (points, 2), lie inside."""
        if not len(points):
            return 0
        x, y = points[:, 0], points[:, 1]
        hit = (x > self.left) & (x < self.right) & (y > self.top) & (y < self.bottom)
        return int(np.count_nonzero(hit))


@dataclass(frozen=True)
class Anchor:
    """What wants a label: a point in pixels and the text beside it."""

    x: float
    y: float
    text: str


@dataclass(frozen=True)
class Label:
    """A placed label; `leader` is true when a line should join it to its point."""

    anchor: Anchor
    box: Box
    leader: bool
    side: int
    """1 when the text starts beside its point, -1 when it ends there, 0 when it is centred."""


def place(
    anchors: Sequence[Anchor],
    bounds: Box,
    obstacles: Sequence[Box],
    points: NDArray[np.float64],
) -> list[Label]:
    """Labels in order of importance, each where it covers least.

    Labels, markers and `obstacles` are avoided above all, then `points` (points, 2), then
    distance from the marker.
    """
    taken = [*obstacles, *(Box(a.x - 8, a.y - 8, a.x + 8, a.y + 8) for a in anchors)]
    placed = []
    for anchor in anchors:
        best = min(_candidates(anchor), key=lambda label: _cost(label, bounds, taken, points))
        placed.append(best)
        taken.append(best.box)
    return placed


def _candidates(anchor: Anchor) -> Iterator[Label]:
    width = len(anchor.text) * _LETTER
    for far in (1.0, 2.2, 3.6, 5.0):
        for dx, dy in _DIRECTIONS:
            x = anchor.x + dx * _GAP * (far if dy == 0 else max(1.0, far * 0.8))
            y = anchor.y + dy * (_GAP + 3) * far
            left = x - width / 2 if dx == 0 else x if dx > 0 else x - width
            box = Box(left, y - _LINE / 2, left + width, y + _LINE / 2)
            yield Label(anchor, box, far > 1, dx)


def _cost(label: Label, bounds: Box, taken: Sequence[Box], points: NDArray[np.float64]) -> float:
    box = label.box
    overlap = sum(box.overlap(other) for other in taken)
    away = abs((box.top + box.bottom) / 2 - label.anchor.y)
    away += max(box.left - label.anchor.x, label.anchor.x - box.right, 0.0)
    return 100 * box.outside(bounds) + 40 * overlap + 6 * box.covered(points) + 0.3 * away
