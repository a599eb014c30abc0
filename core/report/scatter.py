"""Quality against a cost: every evaluation, the front, the limits, the closing models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stillhouse.core.report import svg
from stillhouse.core.report.axis import Axis, axis
from stillhouse.core.report.costs import Cost, bound, value_of
from stillhouse.core.report.frame import Canvas, Titles, frame
from stillhouse.core.report.labels import Anchor, Box, Label, place
from stillhouse.core.report.markers import marker
from stillhouse.core.report.quality import Quality, primary
from stillhouse.core.report.rows import CLOSING, cost_of, label_of
from stillhouse.core.report.window import Window, window
from stillhouse.core.run.summary import RunSummary


@dataclass(frozen=True)
class Point:
    """An evaluation that can be drawn: its place in the summary, cost and quality."""

    index: int
    cost: float
    quality: float


@dataclass(frozen=True)
class Mark:
    """A closing model: measured cost, validation quality."""

    role: str
    label: str
    cost: float
    quality: float


@dataclass(frozen=True)
class Bound:
    """A limit in the unit of the axis; `upper` for at most, else at least."""

    value: float
    upper: bool
    label: str


@dataclass(frozen=True)
class Plot:
    """Everything one view shows, before it has a size."""

    cost: Cost
    quality: Quality
    points: Sequence[Point]
    marks: Sequence[Mark]
    bounds: Sequence[Bound]
    shown: Window

    @property
    def drawn(self) -> list[Point]:
        """In the order of evaluation, so that a script can tell them apart by their place."""
        return sorted(self.points, key=lambda point: point.index)


def plot(summary: RunSummary, cost: Cost) -> Plot:
    """Gather what can be drawn against a cost; whatever misses a number is left out."""
    quality = primary(summary)
    points = [
        Point(i, known, value)
        for i, e in enumerate(summary.evaluations)
        if (known := value_of(e.costs, cost.name)) is not None
        and (value := quality.of(e.values)) is not None
    ]
    marks = [
        Mark(row.role, label_of(row), known, value)
        for role in CLOSING
        for row in summary.rows
        if row.role == role
        and (known := cost_of(row, cost)) is not None
        and (value := quality.of(row.validation)) is not None
    ]
    shown = window(
        [point.quality for point in points],
        [mark.quality for mark in marks],
        maximize=quality.maximize,
    )
    return Plot(cost, quality, points, marks, _bounds(summary, cost), shown)


def _bounds(summary: RunSummary, cost: Cost) -> list[Bound]:
    found = []
    for limit in summary.limits:
        value = bound(limit, cost)
        if value is not None:
            found.append(Bound(value, limit.relation == "<=", f"limit {cost.text(value)}"))
    return found


def front(points: Sequence[Point], quality: Quality) -> list[Point]:
    """Points that none beats in both quality and cost, from cheap to dear, no ties."""
    kept: list[Point] = []
    sign = -1 if quality.maximize else 1
    for point in sorted(points, key=lambda p: (p.cost, sign * p.quality)):
        if not kept or quality.better(point.quality, kept[-1].quality):
            kept.append(point)
    return kept


def scatter(plot: Plot, canvas: Canvas) -> str:
    """The drawing. Its dots' order is the evaluations' order, which the page's script relies on."""
    x, y = _axes(plot, canvas)
    titles = Titles(
        across=f"{plot.cost.title}{f', {plot.cost.unit}' if plot.cost.unit else ''}"
        f"{' (logarithmic)' if x.log else ''}",
        upward=f"validation {plot.quality.title} ({plot.quality.direction})",
        text=lambda value: plot.quality.text(value, _decimals(y)),
    )
    dots = np.array([(x.at(p.cost), y.inside(p.quality)) for p in plot.drawn]).reshape(-1, 2)
    best = front(plot.points, plot.quality)
    parts = [_regions(plot, canvas, x), frame(canvas, x, y, titles), _limits(plot, canvas, x)]
    parts += [svg.dots([(float(a), float(b)) for a, b in dots], class_="dots")]
    parts += [_front(best, x, y), _beyond(plot, canvas)]
    parts += _marks(plot, canvas, x, y, dots)
    parts += [svg.element("circle", r=7.0, class_="cursor", visibility="hidden")]
    return svg.drawing(
        canvas.width, canvas.height, _spoken(plot), *parts,
        class_="scatter narrow" if canvas.compact else "scatter wide",
    )  # fmt: skip


def _axes(plot: Plot, canvas: Canvas) -> tuple[Axis, Axis]:
    costs = [p.cost for p in plot.points] + [m.cost for m in plot.marks]
    costs += [b.value for b in plot.bounds]
    x = axis(costs, *canvas.across, pad=0.04)
    y = axis((plot.shown.low, plot.shown.high), *canvas.upward, log=False, pad=0.07)
    return x, y


def _decimals(y: Axis) -> int:
    return 1 if y.high - y.low < 0.05 else 0


def _regions(plot: Plot, canvas: Canvas, x: Axis) -> str:
    """Shaded where a limit is broken."""
    (left, right), (bottom, top) = canvas.across, canvas.upward
    parts = []
    for limit in plot.bounds:
        at = x.inside(limit.value)
        begin, end = (at, right) if limit.upper else (left, at)
        parts.append(
            svg.element(
                "rect", x=begin, y=top, width=end - begin, height=bottom - top, class_="infeasible"
            )
        )
    return "".join(parts)


def _limits(plot: Plot, canvas: Canvas, x: Axis) -> str:
    parts = []
    for limit, box in zip(plot.bounds, _limit_boxes(plot, canvas, x), strict=True):
        at = x.inside(limit.value)
        bottom, top = canvas.upward
        parts.append(svg.element("line", x1=at, x2=at, y1=top, y2=bottom, class_="limit"))
        parts.append(svg.text(limit.label, x=box.left, y=box.bottom - 4, class_="limit-name"))
    return "".join(parts)


def _limit_boxes(plot: Plot, canvas: Canvas, x: Axis) -> list[Box]:
    """Where limits are labelled: at the foot, on the side that breaks them if there is room."""
    (left, right), (bottom, _) = canvas.across, canvas.upward
    boxes: list[Box] = []
    for limit in plot.bounds:
        width, at = len(limit.label) * 6.9, x.inside(limit.value)
        after = at + 6 + width < right if limit.upper else at - 6 - width < left
        begin = at + 6 if after else at - 6 - width
        floor = bottom - 6 - 18 * len(boxes)
        boxes.append(Box(begin, floor - 16, begin + width, floor))
    return boxes


def _front(best: Sequence[Point], x: Axis, y: Axis) -> str:
    if not best:
        return ""
    path = svg.steps(((x.at(p.cost), y.inside(p.quality)) for p in best), rise_first=False)
    dots = svg.dots(((x.at(p.cost), y.inside(p.quality)) for p in best), class_="front-dots")
    return svg.element("path", d=path, class_="front") + dots


def _beyond(plot: Plot, canvas: Canvas) -> str:
    """Says how many evaluations lie past the edge where they are drawn."""
    if not plot.shown.beyond:
        return ""
    worst = plot.shown.low if plot.quality.maximize else plot.shown.high
    side = "below" if plot.quality.maximize else "above"
    said = f"{plot.shown.beyond} more {side} {plot.quality.text(worst)}, drawn at the edge"
    bottom, top = canvas.upward
    at = bottom - 9 if plot.quality.maximize else top + 14
    return svg.text(said, x=canvas.left + 6, y=at, class_="tick")


def _marks(plot: Plot, canvas: Canvas, x: Axis, y: Axis, dots: np.ndarray) -> list[str]:
    (left, right), (bottom, top) = canvas.across, canvas.upward
    order = sorted(plot.marks, key=lambda mark: mark.role != "found")
    anchors = [Anchor(x.at(m.cost), y.inside(m.quality), m.label) for m in order]
    labels = place(
        anchors, Box(left, top, right, bottom), _limit_boxes(plot, canvas, x), dots
    )  # fmt: skip
    parts = [_label(label) for label in labels]
    for mark, anchor in reversed(list(zip(order, anchors, strict=True))):
        said = f"{mark.label}: {plot.quality.text(mark.quality, 2)}, {plot.cost.text(mark.cost)}"
        parts.append(marker(mark.role, anchor.x, anchor.y, said))
    return parts


def _label(label: Label) -> str:
    box, anchor = label.box, label.anchor
    middle = (box.left + box.right) / 2
    shown = svg.text(anchor.text, x=middle, y=box.bottom - 4, class_="label middle")
    if not label.leader:
        return shown
    x = min(max(anchor.x, box.left), box.right)
    y = min(max(anchor.y, box.top + 3), box.bottom - 3)
    return svg.element("line", x1=anchor.x, y1=anchor.y, x2=x, y2=y, class_="leader") + shown


def _spoken(plot: Plot) -> str:
    best = front(plot.points, plot.quality)
    return (
        f"{plot.quality.title} against {plot.cost.title} of {len(plot.points)} evaluations; "
        f"{len(best)} on the front. Arrow keys step through them."
    )
