"""Means with their intervals, one line a setting: a dot, a whisker, and every repeat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, final

from stillhouse.core.report import svg
from stillhouse.core.report.arms import SPLITS, Comparison
from stillhouse.core.report.axis import Axis, axis
from stillhouse.core.report.intervals import interval

_RIGHT, _TOP, _ROW = 14.0, 26.0, 56.0
_LANES: Final = {"validation": (-9.0, -18.0), "test": (9.0, 18.0)}
"""Heights of a split's interval and of its repeats, from the middle of a line."""


@final
@dataclass(frozen=True)
class Sheet:
    """Width of the drawing and of the names on its left, in pixels; `letters` of a name."""

    width: float
    left: float
    letters: int
    class_: str


WIDE: Final = Sheet(490, 136, 17, "intervals wide")
NARROW: Final = Sheet(400, 130, 16, "intervals narrow")


@final
@dataclass(frozen=True)
class Strip:
    """One line: its name, and the value of each repeat by split."""

    label: str
    values: Mapping[str, Sequence[float]]
    chosen: bool = False


@final
@dataclass(frozen=True)
class Title:
    """What stands above a drawing and what is said of it; `zero` draws a line at nothing."""

    shown: str
    said: str
    percent: bool = False
    zero: bool = False


def scores_plot(comparison: Comparison, sheet: Sheet) -> str:
    """Every arm's score on validation and on test."""
    strips = [
        Strip(arm.label, {split: arm.known(split) for split in SPLITS}, arm is comparison.chosen)
        for arm in comparison.arms
    ]
    quality = comparison.quality
    said = f"Mean {quality.title} of every arm on validation and on test"
    title = f"{quality.title} ({quality.direction})"
    return _drawn(strips, sheet, Title(title, said, percent=quality.percent))


def gains_plot(comparison: Comparison, sheet: Sheet) -> str:
    """The chosen arm's gain against every other, paired by repeat; empty without another."""
    scale = 100 if comparison.quality.percent else 1
    strips = [
        Strip(arm.label, {s: [scale * g for g in comparison.gains(arm, s)] for s in SPLITS})
        for arm in comparison.others
    ]
    unit = "points" if comparison.quality.percent else comparison.quality.title
    title = f"gain of {comparison.chosen.label} over each, {unit}"
    said = f"The {title}; above 0 is better"
    return _drawn(strips, sheet, Title(title, said, zero=True)) if strips else ""


def _drawn(strips: Sequence[Strip], sheet: Sheet, title: Title) -> str:
    bottom = _TOP + _ROW * len(strips) + 4
    reached = _reached(strips, title.zero)
    x = axis(reached, sheet.left, sheet.width - _RIGHT, log=False, pad=0.05)
    parts = [svg.text(title.shown, x=2.0, y=14.0, class_="name"), _frame(x, bottom, title.percent)]
    if title.zero:
        at = x.at(0.0)
        parts.append(svg.element("line", x1=at, x2=at, y1=_TOP, y2=bottom, class_="axis"))
    for i, strip in enumerate(strips):
        parts += _strip(strip, sheet, x, _TOP + _ROW * (i + 0.5) + 2)
    return svg.drawing(sheet.width, bottom + 22, title.said, *parts, class_=sheet.class_)


def _reached(strips: Sequence[Strip], zero: bool) -> list[float]:
    """Every value and every end of an interval."""
    found = [0.0] if zero else []
    for strip in strips:
        for values in strip.values.values():
            around = interval(values)
            found += [*values, *((around.low, around.high) if around else ())]
    return found


def _frame(x: Axis, bottom: float, percent: bool) -> str:
    parts = []
    for tick in x.ticks(4, percent=percent):
        at = x.at(tick.value)
        parts.append(svg.element("line", x1=at, x2=at, y1=_TOP, y2=bottom, class_="grid"))
        parts.append(svg.text(tick.label, x=at, y=bottom + 17, class_="tick middle"))
    ends = {"x1": x.start, "x2": x.end, "y1": bottom, "y2": bottom}
    parts.append(svg.element("line", **ends, class_="axis"))
    return svg.element("g", *parts, aria_hidden="true")


def _strip(strip: Strip, sheet: Sheet, x: Axis, middle: float) -> list[str]:
    label, letters = strip.label, sheet.letters
    shown = label if len(label) <= letters else f"{label[: letters - 1]}…"
    class_ = "label end" if strip.chosen else "name end"
    parts = [svg.text(shown, x=sheet.left - 12, y=middle + 4, class_=class_)]
    for split, values in strip.values.items():
        at, repeats = (middle + shift for shift in _LANES[split])
        if len(values) > 1:
            places = ((x.at(value), repeats) for value in values)
            parts.append(svg.dots(places, class_="dots small"))
        parts += _whisker(values, x, at, f"{label}, {split}", split)
    return [svg.element("g", *parts, class_="strip chosen" if strip.chosen else "strip")]


def _whisker(values: Sequence[float], x: Axis, y: float, name: str, split: str) -> list[str]:
    around = interval(values)
    if around is None:
        return []
    said = f"{name}: mean {around.mean:.4g}"
    if around.half is not None:
        said += f", 95 % interval {around.low:.4g} to {around.high:.4g}"
    ends = {"x1": x.at(around.low), "x2": x.at(around.high), "y1": y, "y2": y}
    circle = {"cx": x.at(around.mean), "cy": y, "r": 5.0, "class_": f"mean {split}"}
    line = svg.element("line", **ends, class_="whisker")
    return [line, svg.element("circle", svg.title(said), **circle)]
