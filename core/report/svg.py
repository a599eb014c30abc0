"""SVG elements as strings; every attribute and text is escaped here and nowhere else."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable


def element(tag: str, *children: str, **attributes: object) -> str:
    """One element. `children` are markup; `class_` and `stroke_width` lose and change the `_`.

    Attributes that are None are left out. Raises ValueError for a number that is not finite.
    """
    shown = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{_attribute(value)}"'
        for name, value in attributes.items()
        if value is not None
    )
    return f"<{tag}{shown}>{''.join(children)}</{tag}>" if children else f"<{tag}{shown}/>"


def text(content: str, **attributes: object) -> str:
    """A `text` element with escaped content."""
    return element("text", html.escape(content), **attributes)


def title(content: str) -> str:
    """The accessible name of the element it stands in."""
    return element("title", html.escape(content))


def drawing(width: float, height: float, label: str, *children: str, class_: str = "") -> str:
    """A whole `svg` that scales with its container; `label` is what a screen reader says."""
    return element(
        "svg",
        *children,
        viewBox=f"0 0 {number(width)} {number(height)}",
        role="group",
        aria_label=label,
        class_=f"chart {class_}".strip(),
    )


def dots(points: Iterable[tuple[float, float]], **attributes: object) -> str:
    """Many round dots as one path: zero-length lines, drawn by a round line cap."""
    path = "".join(f"M{number(x)} {number(y)}h0" for x, y in points)
    return element("path", d=path, **attributes) if path else ""


def steps(points: Iterable[tuple[float, float]], *, rise_first: bool) -> str:
    """Path data of a step line; `rise_first` goes to the next height before moving along."""
    path = ""
    for x, y in points:
        if not path:
            path = f"M{number(x)} {number(y)}"
        elif rise_first:
            path += f"V{number(y)}H{number(x)}"
        else:
            path += f"H{number(x)}V{number(y)}"
    return path


def number(value: float) -> str:
    """One decimal, without trailing zeros; ValueError for what is not finite."""
    if not math.isfinite(value):
        raise ValueError(f"a coordinate must be finite, got {value}")
    shown = f"{value:.1f}".removesuffix(".0")
    return "0" if shown == "-0" else shown


def _attribute(value: object) -> str:
    return number(value) if isinstance(value, float) else html.escape(str(value))
