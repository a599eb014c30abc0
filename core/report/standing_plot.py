"""How mixtures and single models stand: scores on each split, and how far behind each is.

Wide, both stand side by side with the names on the left; narrow, one below the other with each
name above its marks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, final

from stillhouse.core.report import svg
from stillhouse.core.report.axis import Axis
from stillhouse.core.report.ensemble import CHOSEN, LOSS, MEMBER, Ensemble, Standing
from stillhouse.core.report.ensemble_names import metric_name, title, unit
from stillhouse.core.report.short_names import short_names, shortened
from stillhouse.core.report.spans import decimals
from stillhouse.core.report.standing_axes import behind_axis, ordered, score_axis
from stillhouse.core.report.standing_marks import TOP, arrow, gap_text, grid, mark

_GAP, _FOOT = 26.0, 26.0
_MARKS: Final = {"tuning": "validation", "test": "test"}
"""Class of a split's mark: hollow for the split that tuned, filled for the other."""


@final
@dataclass(frozen=True)
class Sheet:
    """Pixels: width, height of a line, from its middle to its marks; `left` is of the names."""

    width: float
    line: float
    drop: float
    lane: float
    left: float
    letters: int
    class_: str


_SHEET: Final = Sheet(1000, 36, 0, 7, 246, 31, "standing wide")
_SCORES: Final = Sheet(400, 52, 12, 6, 0, 50, "standing narrow")
_BEHIND: Final = Sheet(400, 44, 10, 0, 0, 28, "standing narrow")


@final
@dataclass(frozen=True)
class Line:
    """A row, its name as it is written, and the height of its middle."""

    row: Standing
    name: str
    y: float


def standing_plot(found: Ensemble) -> str:
    """The drawing for wide screens, then those for narrow ones."""
    lines, bottom, split_at = _lines(found, _SHEET)
    known = any(row.behind for row in found.others)
    scores = score_axis(found, 258, 520 if known else 980)
    parts = [*_heading(found, 250), *_frame(found, scores, bottom), *_apart(split_at)]
    parts += _rows(found, lines, _SHEET, scores=scores)
    behind = behind_axis(found, 572, 790)
    if behind:
        parts += [*_behind_heading(found, 564), *_behind_frame(behind, bottom)]
        parts += _gaps(found, lines, _SHEET, behind)
    said = f"{_spoken(found)}, and how far each is behind the chosen mixture"
    wide = svg.drawing(_SHEET.width, bottom + _FOOT, said, *parts, class_=_SHEET.class_)
    return wide + _narrow_scores(found) + _narrow_behind(found)


def _narrow_scores(found: Ensemble) -> str:
    lines, bottom, split_at = _lines(found, _SCORES)
    scores = score_axis(found, 8, 392)
    parts = [*_heading(found, 0), *_frame(found, scores, bottom), *_apart(split_at)]
    parts += _rows(found, lines, _SCORES, scores=scores)
    return svg.drawing(400, bottom + _FOOT, _spoken(found), *parts, class_=_SCORES.class_)


def _narrow_behind(found: Ensemble) -> str:
    behind = behind_axis(found, 8, 392)
    if behind is None:
        return ""
    lines, bottom, split_at = _lines(found, _BEHIND, first=1)
    parts = [*_behind_heading(found, 0), *_behind_frame(behind, bottom), *_apart(split_at)]
    parts += _rows(found, lines, _BEHIND)
    parts += _gaps(found, lines, _BEHIND, behind)
    said = "How far every row is behind the chosen mixture"
    return svg.drawing(400, bottom + _FOOT, said, *parts, class_=_BEHIND.class_)


def _lines(found: Ensemble, sheet: Sheet, first: int = 0) -> tuple[list[Line], float, float]:
    """Lines, the bottom of the last one, and where the single models begin, 0 without any."""
    together, single = ordered(found)
    names = short_names([row.label for row in found.rows if row.role == MEMBER], sheet.letters)
    y, split_at = TOP + sheet.line / 2, 0.0
    placed = []
    for row in (*together[first:], *single):
        if single and row is single[0]:
            split_at = y - sheet.line / 2 + (_GAP / 2 + 8 if sheet.left else 14)
            y += _GAP
        placed.append(Line(row, _written(row, names, sheet.letters), y))
        y += sheet.line
    return placed, y - sheet.line / 2 + 4, split_at


def _written(row: Standing, names: Mapping[str, str], letters: int) -> str:
    """A name that fits. The best single model's own goes first: its row stands below as well."""
    shown = title(replace(row, label=names.get(row.label, row.label)))
    if len(shown) > letters and row.role == "best-single":
        return title(replace(row, label=""))
    return shortened(shown, letters)


def _apart(y: float) -> list[str]:
    return [svg.text("each model alone", x=0.0, y=y, class_="tick")] if y else []


def _heading(found: Ensemble, x: float) -> list[str]:
    quality = found.quality(found.metric)
    nats = f", {unit(found)}" if found.metric == LOSS else ""
    shown = f"{metric_name(found.metric)}{nats} ({quality.direction})"
    return [svg.text(shown, x=x, y=14.0, class_="name")]


def _behind_heading(found: Ensemble, x: float) -> list[str]:
    shown = f"{found.decisive} log-loss above the chosen mixture’s, {unit(found)}"
    return [svg.text(shown, x=x, y=14.0, class_="name")]


def _frame(found: Ensemble, x: Axis, bottom: float) -> list[str]:
    return [grid(x, bottom, percent=found.quality(found.metric).percent)]


def _behind_frame(x: Axis, bottom: float) -> list[str]:
    at = x.at(0.0)
    return [
        grid(x, bottom),
        svg.element("line", x1=at, x2=at, y1=TOP, y2=bottom, class_="axis"),
    ]


def _rows(
    found: Ensemble, lines: Sequence[Line], sheet: Sheet, scores: Axis | None = None
) -> Iterator[str]:
    """The names, and with an axis the scores."""
    for line in lines:
        chosen = line.row.role == CHOSEN
        parts = [_name(line, sheet, chosen)]
        splits = found.splits if scores else ()
        for i, split in enumerate(splits):
            if scores and (one := line.row.of(split, found.metric)):
                lane = sheet.lane * (2 * i - 1) if len(splits) > 1 else 0.0
                said = f"{title(line.row)}, {split}"
                y = line.y + sheet.drop + lane
                parts += mark(one, scores, y, said, _MARKS[split])
        yield svg.element("g", *parts, class_="strip chosen" if chosen else "strip")


def _name(line: Line, sheet: Sheet, chosen: bool) -> str:
    class_ = "label" if chosen else "name"
    if sheet.left:
        at = {"x": sheet.left - 14, "y": line.y + 4}
        return svg.text(line.name, **at, class_=f"{class_} end")
    return svg.text(line.name, x=0.0, y=line.y - sheet.line / 2 + 16, class_=class_)


def _gaps(found: Ensemble, lines: Sequence[Line], sheet: Sheet, x: Axis) -> Iterator[str]:
    """How far each is behind, drawn and written; at the edge what is beyond it."""
    places = decimals(row.behind for row in found.others if row.behind)
    for line in lines:
        behind = line.row.behind
        if behind is None or line.row.role == CHOSEN:
            continue
        y, said = line.y + sheet.drop, f"{title(line.row)}, behind"
        beyond = not x.low <= behind.mean <= x.high
        class_ = _MARKS[found.decisive]
        parts = arrow(behind, x, y, said) if beyond else mark(behind, x, y, said, class_)
        yield svg.element("g", *parts, _figure(gap_text(behind, places), line, sheet))


def _figure(shown: str, line: Line, sheet: Sheet) -> str:
    """Right of the marks, or above them on the line of the name."""
    if sheet.left:
        return svg.text(shown, x=806.0, y=line.y + 4, class_="tick")
    return svg.text(shown, x=400.0, y=line.y - sheet.line / 2 + 16, class_="tick end")


def _spoken(found: Ensemble) -> str:
    name = found.quality(found.metric).title
    return f"{name} of the mixtures and of every model alone, on {' and '.join(found.splits)}"
