"""The standings of an ensemble as a table: every metric on every split, with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from stillhouse.core.report.ensemble import LOSS, Ensemble, Standing
from stillhouse.core.report.ensemble_names import metric_name, title
from stillhouse.core.report.numerals import MISSING
from stillhouse.core.report.rows import Figure, Line
from stillhouse.core.report.spans import Span, between, decimals, written


@final
@dataclass(frozen=True)
class Column:
    """A metric on a split, or what is behind where `split` is empty; `scale` 100 for shares."""

    split: str
    metric: str
    scale: float
    places: int

    def of(self, row: Standing) -> Span | None:
        found = row.of(self.split, self.metric) if self.split else row.behind
        return found.scaled(self.scale) if found else None


def standing_table(found: Ensemble) -> tuple[Sequence[str], Sequence[Line]]:
    """Titles of the columns, and a line a row."""
    columns = _columns(found)
    headings = [_heading(column, found) for column in columns]
    lines = [
        Line(row.role, title(row), [_figure(column.of(row), column) for column in columns])
        for row in found.rows
    ]
    return headings, lines


def _columns(found: Ensemble) -> list[Column]:
    columns = []
    for metric in found.metrics:
        scale = 100.0 if found.quality(metric).percent else 1.0
        places = decimals(one.scaled(scale) for one in found.spans(metric))
        columns += [Column(split, metric, scale, places) for split in found.splits]
    behinds = [row.behind for row in found.others if row.behind]
    return [*columns, Column("", LOSS, 1.0, decimals(behinds))] if behinds else columns


def _heading(column: Column, found: Ensemble) -> str:
    metric = metric_name(column.metric)
    if not column.split:
        return f"{metric} above the chosen, {found.decisive}"
    return f"{column.split} {metric}{' %' if column.scale > 1 else ''}"


def _figure(one: Span | None, column: Column) -> Figure:
    if one is None:
        return Figure(MISSING if column.split else "", "")
    sign = "+" if not column.split and one.mean > 0 else ""
    return Figure(f"{sign}{written(one.mean, column.places)}", between(one, column.places))
