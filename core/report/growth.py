"""Two small charts of a search's progress."""

from __future__ import annotations

from collections.abc import Sequence

from stillhouse.core.report import svg
from stillhouse.core.report.axis import Axis, axis
from stillhouse.core.report.frame import HALF, Titles, frame
from stillhouse.core.report.progress import Progress, Volume
from stillhouse.core.report.window import window


def best_so_far(progress: Progress) -> str:
    """Every evaluation as a dot, the best so far as a step line; nothing without evaluations."""
    if not progress.qualities:
        return ""
    quality = progress.quality
    shown = window(progress.qualities, progress.best[-1:], maximize=quality.maximize)
    x = _numbers(progress.numbers)
    y = axis((shown.low, shown.high), *HALF.upward, log=False, pad=0.08)
    titles = Titles(
        "evaluations", f"validation {quality.title}, best so far", percent=quality.percent
    )
    places = list(zip(progress.numbers, progress.qualities, strict=True))
    dots = svg.dots(((x.at(n), y.inside(q)) for n, q in places), class_="dots small")
    line = _line(progress.numbers, progress.best, x, y)
    end = quality.text(progress.best[-1], 2)
    height = y.inside(progress.best[-1]) + (-8 if quality.maximize else 18)
    label = svg.text(end, x=x.at(progress.numbers[-1]), y=height, class_="label end")
    said = f"Best {quality.title} after each evaluation, {end} in the end"
    return svg.drawing(
        HALF.width, HALF.height, said, frame(HALF, x, y, titles), dots, line, label
    )  # fmt: skip


def hypervolume_chart(progress: Progress, volume: Volume) -> str:
    """Hypervolume after each evaluation as a step line."""
    x = _numbers(progress.numbers)
    y = Axis(0.0, 1.04, *HALF.upward)
    titles = Titles(
        "evaluations",
        f"hypervolume, {progress.quality.title} and {volume.cost.title}",
        percent=True,
    )
    line = _line(progress.numbers, volume.shares, x, y)
    end = f"{100 * volume.shares[-1]:.1f} %"
    label = svg.text(
        end, x=x.at(progress.numbers[-1]), y=y.at(volume.shares[-1]) - 8, class_="label end"
    )
    said = f"Hypervolume after each evaluation, {end} of the box in the end"
    return svg.drawing(HALF.width, HALF.height, said, frame(HALF, x, y, titles), line, label)


def _numbers(numbers: Sequence[int]) -> Axis:
    return Axis(0.0, float(max(numbers[-1], 5)), *HALF.across)


def _line(numbers: Sequence[int], values: Sequence[float], x: Axis, y: Axis) -> str:
    """A step line that bends only where the value changes."""
    bends = [(numbers[0], values[0])]
    for number, value in zip(numbers, values, strict=True):
        if value != bends[-1][1]:
            bends.append((number, value))
    bends.append((numbers[-1], values[-1]))
    path = svg.steps(((x.at(n), y.inside(v)) for n, v in bends), rise_first=False)
    return svg.element("path", d=path, class_="front")
