"""What `stillhouse plugins` says about each name."""

from __future__ import annotations

from dataclasses import dataclass

from stillhouse.core.plugin.kinds import RecordKind
from stillhouse.core.plugin.records import MethodInfo, Record


@dataclass(frozen=True)
class PluginStatus:
    """One offered name and how it fared.

    `status` is `active`, `disabled`, `conflict: ...` or `failed: <type>: <message>`. `gain` names
    the targets on which a speed-up was measured, or says `size only`. `import_ms` is the time its
    light module took to import, 0 when nothing was imported.
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
    """Targets a method speeds up; `size only` for one that changes the form and claims none."""
    if not isinstance(record, MethodInfo):
        return ""
    return ", ".join(sorted(record.speeds_up)) or ("size only" if record.changes == "form" else "")
