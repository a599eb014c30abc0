"""Quality against a cost: every evaluation, the front, the limits, the closing models."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stillhouse.core.report import svg
from stillhouse.core.report.axis import Axis, axis
from stillhouse.core.report.dots import Dot, layers
from stillhouse.core.report.frame import Canvas, Titles, frame
from stillhouse.core.report.labels import Anchor, Box, Label, place
from stillhouse.core.report.markers import marker
from stillhouse.core.report.plot import Plot, front


def scatter(plot: Plot, canvas: Canvas) -> str:
    """The drawing; each path of dots says in `data-indices` which evaluations they are."""
    x, y = _axes(plot, canvas)
    titles = Titles(
        across=f"{plot.cost.title}{f', {plot.cost.unit}' if plot.cost.unit else ''}"
        f"{' (logarithmic)' if x.log else ''}",
        upward=f"validation {plot.quality.title} ({plot.quality.direction})",
        percent=plot.quality.percent,
    )
    dots = [Dot(p.index, x.at(p.cost), y.inside(p.quality)) for p in plot.points]
    parts = [_regions(plot, canvas, x), _floor_regions(plot, canvas, y)]
    parts += [frame(canvas, x, y, titles), _limits(plot, canvas, x), _floors(plot, canvas, y)]
    parts += [_layer(layer) for layer in layers(dots)]
    chosen = [(x.at(p.cost), y.inside(p.quality)) for p in plot.points if p.on_front]
    parts += [svg.dots(chosen, class_="front-dots")] if chosen else []
    parts += [_front(plot, canvas, x, y), *_marks(plot, canvas, x, y, dots)]
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


def _layer(dots: Sequence[Dot]) -> str:
    indices = ",".join(str(dot.index) for dot in dots)
    return svg.dots(((dot.x, dot.y) for dot in dots), class_="dots", data_indices=indices)


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


def _floor_regions(plot: Plot, canvas: Canvas, y: Axis) -> str:
    """Shaded where a limit on the quality is broken."""
    (left, right), (bottom, top) = canvas.across, canvas.upward
    parts = []
    for limit in plot.floors:
        at = y.inside(limit.value)
        begin, end = (top, at) if limit.upper else (at, bottom)
        parts.append(
            svg.element(
                "rect", x=left, y=begin, width=right - left, height=end - begin, class_="infeasible"
            )
        )
    return "".join(parts)


def _floors(plot: Plot, canvas: Canvas, y: Axis) -> str:
    left, right = canvas.across
    parts = []
    for limit in plot.floors:
        at = y.inside(limit.value)
        parts.append(svg.element("line", x1=left, x2=right, y1=at, y2=at, class_="limit"))
        height = at - 5 if limit.upper else at + 15
        parts.append(svg.text(limit.label, x=left + 6, y=height, class_="limit-name"))
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
        width, at = len(limit.label) * 7.6, x.inside(limit.value)
        after = at + 6 + width < right if limit.upper else at - 6 - width < left
        begin = at + 6 if after else at - 6 - width
        floor = bottom - 6 - 18 * len(boxes)
        boxes.append(Box(begin, floor - 16, begin + width, floor))
    return boxes


def _front(plot: Plot, canvas: Canvas, x: Axis, y: Axis) -> str:
    """The step line inside the window; it rises from the edge where cheaper points lie beyond."""
    best = front(plot.points, plot.quality)
    inside = [p for p in best if y.low <= p.quality <= y.high]
    if not inside:
        return ""
    places = [(x.at(p.cost), y.at(p.quality)) for p in inside]
    foot = [(places[0][0], canvas.upward[0 if plot.quality.maximize else 1])]
    path = svg.steps([*(foot if len(inside) < len(best) else []), *places], rise_first=False)
    return svg.element("path", d=path, class_="front") + svg.dots(places, class_="front-dots")


def _marks(plot: Plot, canvas: Canvas, x: Axis, y: Axis, dots: Sequence[Dot]) -> list[str]:
    """Shapes and their labels; what was found is labelled first and drawn last."""
    (left, right), (bottom, top) = canvas.across, canvas.upward
    order = sorted(plot.marks, key=lambda mark: mark.role != "found")
    anchors = [Anchor(x.at(m.cost), y.inside(m.quality), m.label) for m in order]
    obstacles = _limit_boxes(plot, canvas, x)
    for limit in plot.bounds:
        at = x.inside(limit.value)
        obstacles.append(Box(at - 3, top, at + 3, bottom))
    for point in front(plot.points, plot.quality):
        at, height = x.at(point.cost), y.inside(point.quality)
        obstacles.append(Box(at - 5, height - 5, at + 5, height + 5))
    places = np.array([(dot.x, dot.y) for dot in dots]).reshape(-1, 2)
    labels = place(anchors, Box(left, top, right, bottom), obstacles, places)
    parts = [_label(label) for label in labels]
    for mark, anchor in reversed(list(zip(order, anchors, strict=True))):
        said = f"{mark.label}: {plot.quality.text(mark.quality, 2)}, {plot.cost.text(mark.cost)}"
        parts.append(marker(mark.role, anchor.x, anchor.y, said))
    return parts


def _label(label: Label) -> str:
    box, anchor = label.box, label.anchor
    at = {1: box.left, -1: box.right, 0: (box.left + box.right) / 2}[label.side]
    class_ = {1: "label", -1: "label end", 0: "label middle"}[label.side]
    shown = svg.text(anchor.text, x=at, y=box.bottom - 4, class_=class_)
    if not label.leader:
        return shown
    y = box.top + 2 if box.top > anchor.y else box.bottom - 2 if box.bottom < anchor.y else anchor.y
    return svg.element("line", x1=anchor.x, y1=anchor.y, x2=at, y2=y, class_="leader") + shown


def _spoken(plot: Plot) -> str:
    best = front(plot.points, plot.quality)
    return (
        f"{plot.quality.title} against {plot.cost.title} of {len(plot.points)} evaluations; "
        f"{len(best)} on the front. Arrow keys step through them."
    )
