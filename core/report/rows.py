"""The closing table's lines: who they are, and their figures against the teacher's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from stillhouse.core.report.costs import LATENCY, MACS, PARAMETERS, SIZE, Cost, row_costs, value_of
from stillhouse.core.report.numerals import positive, quantity, significant, times
from stillhouse.core.report.quality import Quality, primary
from stillhouse.core.run.summary import ModelRow, RunSummary

ROLES: Final[Mapping[str, str]] = {
    "teacher": "teacher",
    "found": "found",
    "inherited": "as inherited",
    "tuned": "fine-tuned",
    "scratch": "trained from scratch",
    "scaled": "scaled down",
    "finalist": "finalist",
}
CLOSING: Final = ("teacher", "found", "inherited", "tuned", "scratch", "scaled")


@dataclass(frozen=True)
class Figure:
    """A number as text, and beside the teacher's."""

    text: str
    against: str


@dataclass(frozen=True)
class Line:
    """One line of a closing table; `figures` follow `HEADINGS`."""

    role: str
    label: str
    figures: Sequence[Figure]


def headings(quality: Quality) -> tuple[str, ...]:
    """Column titles with units, the test metric first."""
    metric = f"{quality.title} %" if quality.percent else quality.title
    return (f"test {metric}", "parameters", "size kB", "MACs", "latency ms", "median ms", "p95 ms")


def row_of(summary: RunSummary, role: str) -> ModelRow | None:
    """The first row of a role."""
    return next((row for row in summary.rows if row.role == role), None)


def cost_of(row: ModelRow, cost: Cost) -> float | None:
    return value_of(row_costs(row), cost.name)


def label_of(row: ModelRow) -> str:
    return row.label or ROLES.get(row.role, row.role)


def lines(summary: RunSummary, roles: Sequence[str] = CLOSING) -> list[Line]:
    """Lines of these roles, in the roles' order."""
    teacher = row_of(summary, "teacher")
    quality = primary(summary)
    rows = [row for role in roles for row in summary.rows if row.role == role]
    return [Line(row.role, label_of(row), _figures(row, teacher, quality)) for row in rows]


def _figures(row: ModelRow, teacher: ModelRow | None, quality: Quality) -> list[Figure]:
    own = quality.of(row.test)
    plain = quality.text(own, 2).removesuffix("%").rstrip()
    gap = quality.gap(own, quality.of(teacher.test)) if teacher else ""
    figures = [Figure(plain, gap.replace("\u00a0points", ""))]
    for cost in (PARAMETERS, SIZE, MACS, LATENCY):
        value = cost_of(row, cost)
        shown = significant(value) if cost.unit else quantity(value)
        against = times(value, cost_of(teacher, cost)) if teacher else ""
        figures.append(Figure(shown, against))
    for name in ("median_ms", "p95_ms"):
        value = positive(getattr(row, name))
        against = times(value, positive(getattr(teacher, name))) if teacher else ""
        figures.append(Figure(significant(value), against))
    if teacher is row:
        figures = [Figure(figure.text, "") for figure in figures]
    return figures
