"""What `stillhouse plugins` says about each name."""

from __future__ import annotations

from dataclasses import dataclass

from stillhouse.core.plugin.kinds import RecordKind
from stillhouse.core.plugin.records import MethodInfo, Record


@dataclass(frozen=True)
class PluginStatus:
    """One offered name and how it fared.

    `status` is `active`, `disabled`, `conflict: ...` or `failed: <type>: <message>`. `gain` names
    the largest speed-ups that were measured, or says that none was, or that none was looked for.
    `import_ms` is the time its light module took to import, 0 when nothing was imported.
    """

    kind: RecordKind
    name: str
    distribution: str
    version: str
    status: str
    import_ms: float = 0.0
    summary: str = ""
    gain: str = ""


def gain(record: Record) -> str:
    """The largest gain a target that was measured of a method, or that there is none.

    `up to 1.57x (1.57x onnxruntime-cpu)`, `none measured (0.97x onnxruntime-cpu)`, `not measured`;
    "" of what has no speed of its own, such as a loss term.
    """
    if not isinstance(record, MethodInfo):
        return ""
    best: dict[str, float] = {}
    for one in record.measured:
        best[one.target] = max(one.speed_up, best.get(one.target, 0.0))
    if not best:
        return "not measured" if record.changes in ("form", "policy") else ""
    sure = [one.speed_up for one in record.measured if one.faster]
    word = f"up to {max(sure):.2f}x" if sure else "none measured"
    return f"{word} ({', '.join(f'{best[name]:.2f}x {name}' for name in sorted(best))})"
