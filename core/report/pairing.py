"""Which student layer learns from which teacher layer: two columns of layers, joined by lines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, final

from stillhouse.core.report import svg
from stillhouse.core.report.grid import Grid
from stillhouse.core.report.layer_names import readable, short
from stillhouse.core.report.similarity import LayerSimilarity

_NARROW_TOP: Final = 58.0


@final
@dataclass(frozen=True)
class Columns:
    """Where the columns stand, in pixels. `named`: the teacher's layers get names here as well."""

    teacher: float
    student: float
    top: float
    height: float
    named: bool


def beside(grid: Grid) -> str:
    """The columns right of a heat map, the teacher's in line with its rows; empty without pairs."""
    if not grid.found.pairs:
        return ""
    top = grid.row(-0.5)
    columns = Columns(grid.right + 22, grid.right + 152, top, grid.side, named=False)
    return svg.element("g", *_parts(grid.found, columns))


def below(found: LayerSimilarity) -> str:
    """The columns as a drawing of their own, for narrow screens; empty without pairs."""
    if not found.pairs:
        return ""
    most = max(len(found.layers), len(found.student_layers))
    columns = Columns(136, 262, _NARROW_TOP, min(max(16.0 * most, 120.0), 420.0), named=True)
    said = f"{len(found.pairs)} teacher layers, each joined to the student layer it teaches"
    height = _NARROW_TOP + columns.height + 8
    return svg.drawing(400, height, said, *_parts(found, columns), class_="pairing narrow")


def _parts(found: LayerSimilarity, columns: Columns) -> list[str]:
    heads = (("teacher", columns.teacher), ("student", columns.student))
    y = columns.top - (20 if columns.named else 30)
    shown = heads if columns.named else heads[1:]
    parts = [svg.text(f"{head}’s layers", x=x, y=y, class_="name middle") for head, x in shown]
    return [*parts, *_lines(found, columns), *_teachers(found, columns), *_students(found, columns)]


def _height(layer: int, count: int, columns: Columns) -> float:
    return columns.top + columns.height * (layer + 0.5) / count


def _lines(found: LayerSimilarity, columns: Columns) -> Iterator[str]:
    for teacher, student in found.pairs:
        y1 = _height(teacher, len(found.layers), columns)
        y2 = _height(student, len(found.student_layers), columns)
        said = f"{found.layers[teacher]} teaches {found.student_layers[student]}"
        ends = {"x1": columns.teacher, "y1": y1, "x2": columns.student, "y2": y2}
        yield svg.element("line", svg.title(said), **ends, class_="link")


def _teachers(found: LayerSimilarity, columns: Columns) -> Iterator[str]:
    names = short(found.layers, 15)
    paired = [teacher for teacher, _ in found.pairs]
    count = len(names)
    for layer, name in enumerate(found.layers):
        cluster = f" c{found.clusters[layer] % 6}" if found.clusters else ""
        class_ = f"layer{cluster}" if layer in paired else f"layer idle{cluster}"
        yield _dot(columns.teacher, _height(layer, count, columns), class_, f"{layer} {name}")
    if columns.named:
        for layer in readable(count, columns.height / count, 14.0, paired):
            class_ = "hint end" if layer in paired else "tick end"
            y = _height(layer, count, columns) + 4.5
            label = f"{names[layer]}\u2002{layer}"
            yield svg.text(label, x=columns.teacher - 12, y=y, class_=class_)


def _students(found: LayerSimilarity, columns: Columns) -> Iterator[str]:
    names, paired = short(found.student_layers, 16), [student for _, student in found.pairs]
    count = len(names)
    for layer, name in enumerate(found.student_layers):
        class_ = "layer" if layer in paired else "layer idle"
        yield _dot(columns.student, _height(layer, count, columns), class_, f"{layer} {name}")
    for layer in readable(count, columns.height / count, 14.0, paired):
        class_ = "hint" if layer in paired else "tick"
        y = _height(layer, count, columns) + 4.5
        yield svg.text(f"{layer}\u2002{names[layer]}", x=columns.student + 12, y=y, class_=class_)


def _dot(x: float, y: float, class_: str, said: str) -> str:
    radius = 3.0 if "idle" in class_ else 5.5
    return svg.element("circle", svg.title(said), cx=x, cy=y, r=radius, class_=class_)
