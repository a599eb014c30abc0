"""The marks of a drawing of standings: an interval, what lies beyond the edge, the grid."""

from __future__ import annotations

from typing import Final

from stillhouse.core.report import svg
from stillhouse.core.report.axis import Axis
from stillhouse.core.report.spans import Span, between, written

TOP: Final = 26.0
"""Where grids begin, in pixels."""


def grid(x: Axis, bottom: float, percent: bool = False) -> str:
    """Upright lines with their values under them, down to `bottom`."""
    parts = []
    for tick in x.ticks(4, percent=percent):
        at = x.at(tick.value)
        parts.append(svg.element("line", x1=at, x2=at, y1=TOP, y2=bottom, class_="grid"))
        parts.append(svg.text(tick.label, x=at, y=bottom + 17, class_="tick middle"))
    ends = {"x1": x.start, "x2": x.end, "y1": bottom, "y2": bottom}
    parts.append(svg.element("line", **ends, class_="axis"))
    return svg.element("g", *parts, aria_hidden="true")


def mark(one: Span, x: Axis, y: float, said: str, class_: str) -> list[str]:
    """A dot with its whisker; both stay within the axis. `said` names it."""
    told = f"{said}: {one.mean:.4g}"
    if one.half:
        told += f", 95 % interval {one.ends[0]:.4g} to {one.ends[1]:.4g}"
    low, high = (x.inside(end) for end in one.ends)
    circle = {"cx": x.inside(one.mean), "cy": y, "r": 4.5, "class_": f"mean {class_}"}
    line = svg.element("line", x1=low, x2=high, y1=y, y2=y, class_="whisker")
    return [line, svg.element("circle", svg.title(told), **circle)]


def arrow(behind: Span, x: Axis, y: float, said: str) -> list[str]:
    """At the edge, for what is beyond it."""
    right = behind.mean > x.high
    tip, back = (x.end, x.end - 9) if right else (x.start, x.start + 9)
    numbers = [svg.number(value) for value in (tip, y, back, y - 5, back, y + 5)]
    path = f"M{numbers[0]} {numbers[1]}L{numbers[2]} {numbers[3]}V{numbers[5]}Z"
    told = f"{said}: {behind.mean:.4g}, beyond what is drawn"
    return [svg.element("path", svg.title(told), d=path, class_="beyond")]


def gap_text(behind: Span, places: int) -> str:
    """`+0.012 (−0.002 to 0.026)`."""
    sign = "+" if behind.mean > 0 else ""
    held = between(behind, places)
    return f"{sign}{written(behind.mean, places)}{f' ({held})' if held else ''}"
