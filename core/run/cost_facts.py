"""What a run keeps of its cost stage in `costs.json`, read from a file that may be anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from stillhouse.core.cost.file_size import SizeModel
from stillhouse.core.cost.latency import from_json as latency_from_json
from stillhouse.core.cost.resident import ResidentModel
from stillhouse.core.typed import typed


@dataclass(frozen=True)
class _Facts:
    teacher: Mapping[str, float]
    latency: Mapping[str, Any]
    size: Mapping[str, Any]
    measured: Mapping[str, Any]
    pairs: Sequence[Mapping[str, Any]]
    why: str
    energy: Mapping[str, Any] | None
    resident: Mapping[str, Any] | None


@dataclass(frozen=True)
class _Measured:
    codes: Sequence[Sequence[float]]


def checked_facts(facts: Any) -> dict[str, Any]:
    """The facts, every field that a run goes by of its type and every model one that loads.

    Raises TypeError, KeyError, ValueError or AttributeError.
    """
    found = typed(_Facts, _part(_Facts, facts))
    typed(_Measured, _part(_Measured, found.measured))
    latency_from_json(found.latency), SizeModel.from_json(found.size)
    if found.resident:
        ResidentModel.from_json(found.resident)
    return dict(facts)


def timed_facts(facts: Any) -> dict[str, Any]:
    """The same, with a latency for each network that was measured. Raises likewise."""
    found = checked_facts(facts)
    codes, times = found["measured"]["codes"], found["measured"]["latency_ms"]
    if len(codes) != len([float(ms) for ms in times]):
        raise ValueError(f"{len(codes)} codes, {len(times)} latencies")
    return found


def _part(record: type, raw: Any) -> dict[str, Any]:
    return {field.name: raw[field.name] for field in fields(record)}
