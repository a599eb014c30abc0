"""The frame of a chart: its place on the canvas, grid, ticks and axis titles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from stillhouse.core.report import svg
from stillhouse.core.report.axis import Axis


@final
@dataclass(frozen=True)
class Canvas:
    """Size of a drawing and the margins around its plot, in pixels."""

    width: float
    height: float
    left: float = 58
    right: float = 16
    top: float = 26
    bottom: float = 46
    compact: bool = False

    @property
    def across(self) -> tuple[float, float]:
        """Where the horizontal axis starts and ends."""
        return self.left, self.width - self.right

    @property
    def upward(self) -> tuple[float, float]:
        """Where the vertical axis starts (below) and ends (above)."""
        return self.height - self.bottom, self.top


WIDE = Canvas(1000, 470)
NARROW = Canvas(400, 400, left=48, right=12, compact=True)
HALF = Canvas(490, 320, left=54)
SQUARE = Canvas(490, 440)


@final
@dataclass(frozen=True)
class Titles:
    """Axis titles; `percent` writes shares on the vertical axis as percentages."""

    across: str
    upward: str
    percent: bool = False


def frame(canvas: Canvas, x: Axis, y: Axis, titles: Titles) -> str:
    """Grid, ticks and titles; the vertical title stands above the axis, to be read level."""
    (left, right), bottom = canvas.across, canvas.upward[0]
    parts = []
    for tick in y.ticks(5 if canvas.height < 350 else 6, percent=titles.percent):
        at = y.at(tick.value)
        parts.append(svg.element("line", x1=left, x2=right, y1=at, y2=at, class_="grid"))
        parts.append(svg.text(tick.label, x=left - 8, y=at + 4, class_="tick end"))
    for tick in x.ticks(4 if canvas.width < 450 else 5 if canvas.width < 600 else 9):
        at = x.at(tick.value)
        parts.append(svg.element("line", x1=at, x2=at, y1=bottom, y2=bottom + 4, class_="axis"))
        parts.append(svg.text(tick.label, x=at, y=bottom + 18, class_="tick middle"))
    parts.append(svg.element("line", x1=left, x2=right, y1=bottom, y2=bottom, class_="axis"))
    parts.append(svg.text(titles.upward, x=2.0, y=14.0, class_="name"))
    parts.append(svg.text(titles.across, x=right, y=canvas.height - 8, class_="name end"))
    return svg.element("g", *parts, aria_hidden="true")
