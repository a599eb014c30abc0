"""What a latency depends on beside the model, in three parts, and what may differ when.

A device's *hardware* may be another than this machine's: its file is then foreign, to be read and
not added to. The *settings* (target, runtime and its version, threads, batch, operator set) must
be those of whoever reads. What concerns the *export* of whole networks (torch, exporter, input
shape) must agree as soon as a file holds whole networks; blocks are written without torch, so a
file of blocks alone serves any export.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from stillhouse.core.errors import UserError

Identity = Mapping[str, Any]
"""Facts by name, as JSON has them."""

HARDWARE: Final = ("cpu", "cores", "flags", "os", "machine", "device", "driver")
EXPORT: Final = ("exporter", "torch", "input_shape")


def differing(found: Identity, wanted: Identity) -> tuple[str, ...]:
    """Names of the facts that are not the same in both, sorted."""
    return tuple(k for k in sorted({*found, *wanted}) if found.get(k) != wanted.get(k))


def foreign(found: Identity, wanted: Identity) -> bool:
    """Whether the hardware is another."""
    return any(key in HARDWARE for key in differing(found, wanted))


def without_export(identity: Identity) -> dict[str, Any]:
    """What blocks depend on."""
    return {key: value for key, value in identity.items() if key not in EXPORT}


def check_settings(path: Path, found: Identity, wanted: Identity, *, whole: bool) -> None:
    """Raise `UserError` naming the settings that differ; `whole`: the file has whole networks.

    A reader that exports nothing leaves the names in `EXPORT` out of `wanted`.
    """
    names = [
        key
        for key in differing(found, wanted)
        if key not in HARDWARE and (key not in EXPORT or (whole and key in wanted))
    ]
    if names:
        lines = [f"  {key}: file {found.get(key)!r}, now {wanted.get(key)!r}" for key in names]
        raise UserError(
            f"{path} was measured with other settings:\n" + "\n".join(lines) + "\n"
            "Latencies do not carry over. Change the settings back, name another file with "
            "target.device, or measure one anew with: stillhouse profile --out FILE"
        )


def describe(identity: Identity) -> str:
    """One line for people, of what is known."""
    known = {key: value for key, value in identity.items() if value not in (None, "", [])}
    parts = [f"{known.get('target', 'a target')} on {known.get('cpu', 'an unnamed processor')}"]
    if "cores" in known:
        parts.append(_counted(known["cores"], "core"))
    if "runtime" in known:
        parts.append(str(known["runtime"]))
    if "threads" in known:
        parts.append(_counted(known["threads"], "thread"))
    if "batch" in known:
        parts.append(f"batch {known['batch']}")
    return ", ".join(parts)


def _counted(count: Any, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
