"""Shapes that tell the closing models apart without colour."""

from __future__ import annotations

from typing import Final

from stillhouse.core.report import svg

_OUTLINES: Final = {
    "teacher": "M-6.5 -6.5H6.5V6.5H-6.5Z",
    "found": "M0 -9.5L2.5 -3.1L9.3 -2.8L4 1.5L5.8 8.1L0 4.3L-5.8 8.1L-4 1.5L-9.3 -2.8L-2.5 -3.1Z",
    "inherited": "M-2.2 -7H2.2V-2.2H7V2.2H2.2V7H-2.2V2.2H-7V-2.2H-2.2Z",
    "tuned": "M-6.5 -3.2L0 -7.5L6.5 -3.2V3.2L0 7.5L-6.5 3.2Z",
    "scratch": "M0 -7.5L7 5.5H-7Z",
    "scaled": "M0 7.5L7 -5.5H-7Z",
    "finalist": "M0 -6.5L6.5 0L0 6.5L-6.5 0Z",
}


def marker(role: str, x: float, y: float, name: str) -> str:
    """The shape of a role at a point, with an accessible name; a circle for an unknown role."""
    place = f"translate({svg.number(x)} {svg.number(y)})"
    known = role if role in _OUTLINES else "other"
    class_ = f"marker {known}"
    if role in _OUTLINES:
        shape = svg.element("path", svg.title(name), d=_OUTLINES[role])
    else:
        shape = svg.element("circle", svg.title(name), r=6.0)
    return svg.element("g", shape, class_=class_, transform=place)
