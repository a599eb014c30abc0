"""The found architecture layer by layer: outlines are the full model, fills what is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from stillhouse.core.report import svg
from stillhouse.core.report.anatomy import Anatomy, Bar, Layer

_ROW, _BAR = 34.0, 20.0


@final
@dataclass(frozen=True)
class Sheet:
    """Width of the drawing, of the names on its left, and between columns, in pixels."""

    width: float
    names: float
    gap: float
    figures: float
    compact: bool


WIDE = Sheet(1000, 76, 30, 92, compact=False)
NARROW = Sheet(400, 58, 14, 0, compact=True)


def architecture(anatomy: Anatomy, sheet: Sheet) -> str:
    """The drawing; an empty string when no gene is a number."""
    parts: list[str] = []
    y = 4.0
    for bar in anatomy.scalars:
        parts += _scalar(bar, sheet, y)
        y += _ROW
    if anatomy.layers:
        y += 26 if anatomy.scalars else 14
        parts += _headings(anatomy.columns, sheet, y)
        y += 10
        for layer in anatomy.layers:
            parts += _layer(layer, sheet, y)
            y += _ROW + (18 if sheet.compact else 0)
    if not parts:
        return ""
    return svg.drawing(
        sheet.width, y + 4, _spoken(anatomy), *parts,
        class_="architecture narrow" if sheet.compact else "architecture wide",
    )  # fmt: skip


def _scalar(bar: Bar, sheet: Sheet, y: float) -> list[str]:
    room = sheet.width - sheet.names - (sheet.figures or 84)
    return [
        svg.text(bar.name, x=0.0, y=y + 15, class_="tick"),
        *_continuous(bar, sheet.names, y, room),
        svg.text(bar.text, x=sheet.names + room + 10, y=y + 15, class_="figure"),
    ]


def _headings(columns: Sequence[str], sheet: Sheet, y: float) -> list[str]:
    return [
        svg.text(name, x=_left(i, len(columns), sheet), y=y, class_="name")
        for i, name in enumerate(columns)
    ]


def _column_width(count: int, sheet: Sheet) -> float:
    return (sheet.width - sheet.names - sheet.gap * (count - 1)) / max(count, 1)


def _left(column: int, count: int, sheet: Sheet) -> float:
    return sheet.names + column * (_column_width(count, sheet) + sheet.gap)


def _layer(layer: Layer, sheet: Sheet, y: float) -> list[str]:
    name = f"layer {layer.number}"
    ghost = " ghost" if layer.dropped else ""
    parts = [svg.text(name, x=0.0, y=y + 15, class_=f"tick{ghost}")]
    for i, bar in enumerate(layer.bars):
        left = _left(i, len(layer.bars), sheet)
        room = _column_width(len(layer.bars), sheet) - sheet.figures
        draw = _cells if bar.cells else _continuous
        parts += draw(bar, left, y, room)
        said = "dropped" if bar.dropped else bar.text
        at = (left + 1, y + _BAR + 16) if sheet.compact else (left + room + 10, y + 15)
        parts.append(svg.text(said, x=at[0], y=at[1], class_=f"figure{ghost}"))
    return [svg.element("g", svg.title(f"{name}: {_layer_text(layer)}"), *parts)]


def _continuous(bar: Bar, x: float, y: float, room: float) -> list[str]:
    whole = {"x": x, "y": y, "width": room, "height": _BAR, "rx": 3.0}
    parts = [svg.element("rect", **whole, class_="whole gone" if bar.dropped else "whole")]
    if bar.share > 0:
        parts.append(svg.element("rect", **{**whole, "width": room * bar.share}, class_="kept"))
    return parts


def _cells(bar: Bar, x: float, y: float, room: float) -> list[str]:
    gap = 4.0
    each = (room - gap * (bar.cells - 1)) / bar.cells
    parts = []
    for i in range(bar.cells):
        class_ = "kept" if i < bar.kept else "whole gone" if bar.dropped else "whole"
        at = {"x": x + i * (each + gap), "y": y, "width": each, "height": _BAR, "rx": 3.0}
        parts.append(svg.element("rect", **at, class_=class_))
    return parts


def _layer_text(layer: Layer) -> str:
    if layer.dropped:
        return "dropped"
    return ", ".join(f"{bar.name} {bar.text}" for bar in layer.bars)


def _spoken(anatomy: Anatomy) -> str:
    scalars = [f"{bar.name} {bar.text}" for bar in anatomy.scalars]
    layers = [f"layer {layer.number} {_layer_text(layer)}" for layer in anatomy.layers]
    return "The found model against the full one: " + "; ".join([*scalars, *layers])
