"""The similarity matrix as a heat map, its clusters outlined, and what each hint point teaches."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Final

from stillhouse.core.report import svg
from stillhouse.core.report.axis import Axis
from stillhouse.core.report.grid import TOP, Grid
from stillhouse.core.report.hints import letter
from stillhouse.core.report.layer_names import readable, short
from stillhouse.core.report.similarity import LayerSimilarity

_LEVELS: Final = 40


def heat_map(grid: Grid, *beside: str) -> str:
    """The whole drawing; `beside` are further parts that stand right of the map."""
    parts = [*_names(grid), *_strips(grid), _cells(grid), *_outlines(grid), *_points(grid)]
    parts += [*_scale(grid), *beside]
    parts.append(
        svg.element("rect", width=grid.cell, height=grid.cell, class_="cursor", visibility="hidden")
    )
    class_ = f"similarity {'narrow' if grid.sheet.compact else 'wide'}"
    return svg.drawing(grid.width, grid.bottom + 64, _spoken(grid.found), *parts, class_=class_)


def _names(grid: Grid) -> Iterator[str]:
    """Numbers and names along the rows, numbers below the columns; hint points in bold."""
    found, sheet = grid.found, grid.sheet
    names = short(found.layers, sheet.letters)
    edge = grid.left - sheet.strip - 10
    yield svg.text("teacher’s layers", x=0.0, y=14.0, class_="name")
    for layer in readable(len(names), grid.cell, 13.0, found.centres):
        class_ = "hint end" if layer in found.centres else "tick end"
        label = f"{names[layer]}\u2002{layer}"
        yield svg.text(label, x=edge, y=grid.row(layer) + 4.5, class_=class_)
    for layer in readable(len(names), grid.cell, 22.0, found.centres):
        class_ = "hint middle" if layer in found.centres else "tick middle"
        yield svg.text(str(layer), x=grid.column(layer), y=grid.bottom + 17, class_=class_)


def _strips(grid: Grid) -> Iterator[str]:
    """A band left of the map and one above it, coloured and lettered by cluster."""
    thick, gap = grid.sheet.strip, 4.0
    for run in grid.found.runs:
        begin, length = run.start * grid.cell, (run.stop - run.start) * grid.cell
        class_ = f"cluster c{run.cluster % 6}"
        left, top = grid.left - thick - gap, TOP - thick - gap
        across = {"x": grid.left + begin + 0.5, "y": top, "width": length - 1, "height": thick}
        down = {"x": left, "y": TOP + begin + 0.5, "width": thick, "height": length - 1}
        yield svg.element("rect", **across, class_=class_)
        yield svg.element("rect", **down, class_=class_)
        if length >= 12:
            name, middle = letter(run.cluster), begin + length / 2
            at = ((grid.left + middle, top + thick / 2), (left + thick / 2, TOP + middle))
            for x, y in at:
                yield svg.text(name, x=x, y=y + 4, class_="letter middle")


def _cells(grid: Grid) -> str:
    """One path a colour, in units of a cell; equal neighbours of a row are one rectangle."""
    paths: dict[int, list[str]] = {}
    for row, values in enumerate(grid.found.similarity):
        at = 0
        for level, equal in groupby(_level(value, grid.found.floor) for value in values):
            count = len(list(equal))
            if level is not None:
                paths.setdefault(level, []).append(f"M{at} {row}h{count}v1h-{count}z")
            at += count
    place = f"translate({svg.number(grid.left)} {svg.number(TOP)}) scale({grid.cell:.4f})"
    drawn = (svg.element("path", d="".join(d), **_colour(n)) for n, d in sorted(paths.items()))
    return svg.element(
        "g", *drawn,
        class_="cells", transform=place, data_left=grid.left, data_top=TOP,
        data_cell=f"{grid.cell:.4f}",
    )  # fmt: skip


def _level(value: float | None, floor: float) -> int | None:
    if value is None:
        return None
    share = (min(max(value, floor), 1.0) - floor) / (1 - floor)
    return min(int(share * _LEVELS), _LEVELS - 1)


def _colour(level: int) -> dict[str, str]:
    """Which half of the scale of colours a level lies in, and how far."""
    share = 2 * level / (_LEVELS - 1)
    half, along = ("lower", share) if share <= 1 else ("upper", share - 1)
    return {"class_": half, "style": f"--t:{100 * along:.0f}%"}


def _outlines(grid: Grid) -> Iterator[str]:
    """A square along the diagonal around each run of a cluster."""
    for run in grid.found.runs:
        side = (run.stop - run.start) * grid.cell
        corner = run.start * grid.cell
        place = {"x": grid.left + corner, "y": TOP + corner, "width": side, "height": side}
        yield svg.element("rect", **place, class_="outline halo")
        yield svg.element("rect", **place, class_="outline")


def _points(grid: Grid) -> Iterator[str]:
    radius = max(3.2, min(7.0, 0.3 * grid.cell))
    for centre in grid.found.centres:
        said = f"hint point: layer {centre}, {grid.found.layers[centre]}"
        place = {"cx": grid.column(centre), "cy": grid.row(centre), "r": radius}
        yield svg.element("circle", svg.title(said), **place, class_="point")


def _scale(grid: Grid) -> Iterator[str]:
    """The colours with their numbers, below the map."""
    top, length = grid.bottom + 32, min(grid.side, 240.0)
    each, floor = length / _LEVELS, grid.found.floor
    for level in range(_LEVELS):
        place = {"x": grid.left + level * each, "y": top, "width": each + 0.5, "height": 10.0}
        yield svg.element("rect", **place, **_colour(level))
    numbers = Axis(floor, 1.0, grid.left, grid.left + length)
    for tick in numbers.ticks(5):
        yield svg.text(tick.label, x=numbers.at(tick.value), y=top + 25, class_="tick middle")


def _spoken(found: LayerSimilarity) -> str:
    groups = ", ".join(
        f"{letter(run.cluster)} layers {run.start} to {run.stop - 1}" for run in found.runs
    )
    points = ", ".join(map(str, found.centres))
    return (
        f"{found.metric} between {len(found.layers)} teacher layers"
        + (f"; clusters {groups}" if groups else "")
        + (f"; hint points {points}" if points else "")
        + ". Arrow keys step through the cells."
    )
