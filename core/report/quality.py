"""The metric a report shows: its name, its direction, and how its values read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, final

from stillhouse.core.cost.names import is_cost
from stillhouse.core.errors import UserError
from stillhouse.core.report.numerals import MISSING, NBSP, finite, significant
from stillhouse.core.run.summary import RunSummary


@final
@dataclass(frozen=True)
class Quality:
    """A metric. `percent` is true when every value lies in 0..1 and higher is better."""

    name: str
    maximize: bool
    percent: bool

    @property
    def title(self) -> str:
        return self.name.replace("_", " ")

    @property
    def direction(self) -> str:
        return "higher is better" if self.maximize else "lower is better"

    def of(self, values: Mapping[str, Any]) -> float | None:
        """The metric among others, or None where it is absent or not finite."""
        return finite(values.get(self.name))

    def text(self, value: float | None, decimals: int = 1) -> str:
        """A value with its unit."""
        if value is None:
            return MISSING
        return f"{100 * value:.{decimals}f}{NBSP}%" if self.percent else significant(value, 4)

    def better(self, one: float, other: float) -> bool:
        return one > other if self.maximize else one < other

    def best(self, values: Iterable[float]) -> float:
        return max(values) if self.maximize else min(values)

    def gap(self, value: float | None, reference: float | None) -> str:
        """The signed difference to a reference: `−0.5 points`."""
        if value is None or reference is None:
            return MISSING
        difference = value - reference
        sign = "−" if difference < 0 else "+"
        if self.percent:
            shown = f"{abs(100 * difference):.1f}"
            return f"{'±' if shown == '0.0' else sign}{shown}{NBSP}points"
        return f"{sign}{significant(abs(difference))}"


def primary(summary: RunSummary) -> Quality:
    """The run's first objective that is a metric; UserError when the summary names none at all.

    Where only known costs are optimised, the first metric with a limit, else the task's first.
    """
    if not summary.objectives:
        raise UserError("summary: expected at least one objective, got none")
    first = next(iter(_candidates(summary)))
    name, maximize = str(first["name"]), bool(first["maximize"])
    values = [v for v in _seen(summary, name) if v is not None]
    percent = maximize and bool(values) and all(0 <= v <= 1 for v in values)
    return Quality(name, maximize, percent)


def _candidates(summary: RunSummary) -> Iterator[Mapping[str, Any]]:
    yield from (one for one in summary.objectives if not is_cost(str(one["name"])))
    limited = [limit.cost for limit in summary.limits]
    yield from sorted(
        (metric for metric in summary.metrics if metric["name"] in limited),
        key=lambda metric: limited.index(str(metric["name"])),
    )
    yield from summary.metrics
    yield from summary.objectives


def _seen(summary: RunSummary, name: str) -> Iterator[float | None]:
    for evaluation in summary.evaluations:
        yield finite(evaluation.values.get(name))
    for row in summary.rows:
        yield finite(row.test.get(name))
        yield finite(row.validation.get(name))
