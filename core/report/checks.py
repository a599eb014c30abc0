"""The certificate's limits against what was measured, and the finalists that failed one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stillhouse.core.cost.names import is_cost
from stillhouse.core.report.configuration import one_line
from stillhouse.core.report.costs import named, value_of
from stillhouse.core.report.numerals import NBSP, finite
from stillhouse.core.run.summary import Certificate, LimitLine


@dataclass(frozen=True)
class Check:
    """One limit: `met` is None when nothing was measured that it limits."""

    title: str
    bound: str
    written: str
    measured: str
    met: bool | None
    used: float
    """Share of the bound that was used up, 0 where unknown."""

    @property
    def verdict(self) -> str:
        if self.met is None:
            return "not measured"
        return "met" if self.met else "not met"


@dataclass(frozen=True)
class Dropped:
    """A finalist that broke a limit, in words."""

    configuration: str
    reason: str


def checks(certificate: Certificate) -> list[Check]:
    """Every limit beside the measured value, in the limits' order."""
    return [_check(limit, certificate.measured) for limit in certificate.limits]


def _check(limit: LimitLine, measured: Mapping[str, float]) -> Check:
    cost = named(limit.cost)
    value = value_of(measured, limit.cost)
    if value is None and not is_cost(limit.cost):
        value = finite(measured.get(limit.cost))  # a metric may be 0, an unknown cost says 0
    met = None
    if value is not None:
        met = value <= limit.bound if limit.relation == "<=" else value >= limit.bound
    sign = {"<=": "≤", ">=": "≥"}.get(limit.relation, limit.relation)
    return Check(
        title=cost.title,
        bound=f"{sign}{NBSP}{cost.exact(limit.bound)}",
        written=limit.text,
        measured=cost.text(value),
        met=met,
        used=value / limit.bound if value is not None and limit.bound else 0.0,
    )


def dropped(certificate: Certificate) -> list[Dropped]:
    """Finalists that broke a limit when measured, and by how much."""
    return [_dropped(entry) for entry in certificate.dropped]


def _dropped(entry: Mapping[str, Any]) -> Dropped:
    configuration = entry.get("configuration", {})
    shown = one_line(configuration) if isinstance(configuration, Mapping) else str(configuration)
    cost = named(str(entry.get("cost", "")))
    measured, bound = finite(entry.get("measured")), finite(entry.get("bound"))
    reason = f"{cost.title} {cost.text(measured)}, limit {cost.exact(bound)}"
    return Dropped(shown, reason)
