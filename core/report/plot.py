"""What a chart of quality against a cost shows, before it has a size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stillhouse.core.report.costs import Cost, bound, value_of
from stillhouse.core.report.quality import Quality, primary
from stillhouse.core.report.rows import CLOSING, cost_of, label_of
from stillhouse.core.report.window import Window, window
from stillhouse.core.run.summary import RunSummary


@dataclass(frozen=True)
class Point:
    """An evaluation that can be drawn: its place in the summary, cost and quality.

    `on_front`: one of the front of a run with several objectives.
    """

    index: int
    cost: float
    quality: float
    on_front: bool = False


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
    """Everything one view shows, before it has a size; `floors` are limits on the quality."""

    cost: Cost
    quality: Quality
    points: Sequence[Point]
    marks: Sequence[Mark]
    bounds: Sequence[Bound]
    shown: Window
    floors: Sequence[Bound] = ()

    @property
    def note(self) -> str:
        """Says how many evaluations lie past the edge that they are drawn at, if any."""
        if not self.shown.beyond:
            return ""
        worst = self.shown.low if self.quality.maximize else self.shown.high
        side = "below" if self.quality.maximize else "above"
        lie = "evaluation lies" if self.shown.beyond == 1 else "evaluations lie"
        where = f"{side} {self.quality.text(worst)}, drawn at the edge"
        return f"{self.shown.beyond} {lie} {where}."


def plot(summary: RunSummary, cost: Cost) -> Plot:
    """Gather what can be drawn against a cost; whatever misses a number is left out.

    A candidate stands at the highest fidelity it was evaluated at.
    """
    quality = primary(summary)
    several = len(summary.objectives) > 1
    last = {e.key: i for i, e in enumerate(summary.evaluations)}
    points = [
        Point(i, known, value, several and e.on_front)
        for i, e in enumerate(summary.evaluations)
        if last[e.key] == i
        and (known := value_of(e.costs, cost.name)) is not None
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
    floors = _floors(summary, quality)
    shown = window(
        [point.quality for point in points],
        [*(mark.quality for mark in marks), *(floor.value for floor in floors)],
        maximize=quality.maximize,
    )
    return Plot(cost, quality, points, marks, _bounds(summary, cost), shown, floors)


def _floors(summary: RunSummary, quality: Quality) -> list[Bound]:
    return [
        Bound(limit.bound, limit.relation == "<=", f"limit {quality.text(limit.bound)}")
        for limit in summary.limits
        if limit.cost == quality.name
    ]


def _bounds(summary: RunSummary, cost: Cost) -> list[Bound]:
    found = []
    for limit in summary.limits:
        value = bound(limit, cost)
        if value is not None:
            found.append(Bound(value, limit.relation == "<=", f"limit {cost.exact(value)}"))
    return found


def front(points: Sequence[Point], quality: Quality) -> list[Point]:
    """Points that none beats in both quality and cost, from cheap to dear, no ties."""
    kept: list[Point] = []
    sign = -1 if quality.maximize else 1
    for point in sorted(points, key=lambda p: (p.cost, sign * p.quality)):
        if not kept or quality.better(point.quality, kept[-1].quality):
            kept.append(point)
    return kept
