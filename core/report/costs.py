"""The costs a report shows, read alike from evaluations, closing rows, limits and measurements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, final

from stillhouse.core.cost.names import base_of, length_of
from stillhouse.core.report.numerals import MISSING, NBSP, positive, quantity, significant
from stillhouse.core.run.summary import LimitLine, ModelRow, RunSummary

_BYTES: Final[Mapping[str, float]] = {"size_bytes": 1.0, "size_kb": 1e3, "size_mb": 1e6}
_MEMORY: Final[Mapping[str, float]] = {"memory_bytes": 1.0, "memory_kb": 1e3, "memory_mb": 1e6}


@final
@dataclass(frozen=True)
class Cost:
    """A cost with the unit its name carries."""

    name: str
    title: str
    unit: str

    def text(self, value: float | None) -> str:
        """A value with its unit, to three significant digits."""
        if value is None:
            return MISSING
        shown = significant(value) if self.unit in ("ms", "kB", "MB") else quantity(value)
        return self._with_unit(shown)

    def exact(self, value: float | None) -> str:
        """A value with its unit as somebody wrote it: no digits added, few taken away."""
        if value is None:
            return MISSING
        if value == int(value):
            return self._with_unit(f"{value:,.0f}")
        return self._with_unit(f"{value:.4g}" if 1e-4 < value < 1e4 else significant(value, 4))

    def _with_unit(self, shown: str) -> str:
        if not self.unit:
            return shown
        return f"{shown}{'' if shown[-1].isalpha() else NBSP}{self.unit}"


LATENCY: Final = Cost("latency_ms", "latency", "ms")
SIZE: Final = Cost("size_kb", "size", "kB")
MACS: Final = Cost("macs", "MACs", "")
PARAMETERS: Final = Cost("parameters", "parameters", "")
VIEWS: Final = (LATENCY, SIZE, MACS, PARAMETERS)


def named(name: str) -> Cost:
    """A known cost, or one made from a name that ends in its unit or an input length."""
    for cost in VIEWS:
        if cost.name == name:
            return cost
    if length := length_of(name):
        plain = named(base_of(name))
        return Cost(name, f"{plain.title} at length {length}", plain.unit)
    stem, _, unit = name.rpartition("_")
    units = {"ms": "ms", "kb": "kB", "mb": "MB", "mj": "mJ", "bytes": "B"}
    if stem and unit in units:
        return Cost(name, stem.replace("_", " "), units[unit])
    return Cost(name, name.replace("_", " "), "")


def value_of(costs: Mapping[str, Any], name: str) -> float | None:
    """A positive cost among others, converting between bytes, kB and MB; None when unknown."""
    known = positive(costs.get(name))
    if known is not None:
        return known
    for units in (_BYTES, _MEMORY):
        for other, scale in units.items():
            found = positive(costs.get(other))
            if name in units and found is not None:
                return found * scale / units[name]
    return None


def row_costs(row: ModelRow) -> dict[str, float]:
    """A closing row's costs under the names that limits use."""
    return {
        "parameters": row.parameters,
        "size_bytes": row.size_bytes,
        "macs": row.macs,
        "memory_bytes": row.memory_bytes,
        "latency_ms": row.latency_ms,
        "median_ms": row.median_ms,
        "p95_ms": row.p95_ms,
    }


def bound(limit: LimitLine, cost: Cost) -> float | None:
    """A limit's bound in the unit of `cost`; None when it limits something else."""
    return value_of({limit.cost: limit.bound}, cost.name)


def known_views(summary: RunSummary) -> Sequence[Cost]:
    """The costs that at least one evaluation knows, latency first."""
    return [
        view
        for view in VIEWS
        if any(value_of(e.costs, view.name) is not None for e in summary.evaluations)
    ]
