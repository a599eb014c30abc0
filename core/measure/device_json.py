"""A device file's content: read, checked entry by entry, or refused with the place named."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from stillhouse.core import plain_json
from stillhouse.core.errors import UserError
from stillhouse.core.measure.latency import Latency

FORMAT: Final = 2
_SECTIONS: Final = ("identity", "anchors", "latencies", "blocks", "structures")
_LATER: Final = ("blocks", "structures")
"""Sections that a file may lack."""


def empty(identity: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a file in which nothing has been measured."""
    return {"format": FORMAT, **{section: {} for section in _SECTIONS}, "identity": dict(identity)}


def read(path: Path) -> dict[str, Any]:
    """The content of a device file.

    Raises `UserError` when it cannot be read, is damaged (names the entry) or of another format.
    """
    try:
        content = plain_json.read(path)
    except OSError as failed:
        raise UserError(f"cannot read the device file {path}: {failed.strerror}") from failed
    except ValueError as failed:
        raise UserError(_damaged(path, f"it is not JSON ({failed})")) from failed
    if not isinstance(content, dict) or not isinstance(content.get("format"), int):
        raise UserError(_damaged(path, f'expected an object with "format": {FORMAT}'))
    if content["format"] != FORMAT:
        raise UserError(
            f"{path}: a device file of format {content['format']}; this version of stillhouse "
            f"reads format {FORMAT}, whose latencies carry their intervals. Move it away to have "
            "the device measured again, or name another file with target.device"
        )
    content = {**{section: {} for section in _LATER}, **content}
    _check(path, content)
    return content


def merge(
    content: dict[str, Any], section: str, entries: Mapping[str, Any], *, first_stays: bool = False
) -> None:
    """Add a section's entries to a content, in place.

    A family's anchors stay as they are, for its latencies are in their terms; structures are added
    by key; of two reference times with the same NumPy the lower one stays. Else the new entry
    replaces the old one, or with `first_stays` does not.
    """
    known = content.setdefault(section, {})
    if section == "structures":
        for family, structures in entries.items():
            known[family] = {**known.get(family, {}), **structures}
    elif section == "reference":
        if known.get("numpy") != entries["numpy"] or entries["ms"] < known.get("ms", math.inf):
            known.update(entries)
    elif section == "anchors" or first_stays:
        content[section] = {**entries, **{key: one for key, one in known.items() if one}}
    else:
        known.update(entries)


def latency_of(entry: Mapping[str, Any]) -> Latency:
    """Raises KeyError, TypeError or ValueError on foreign content."""
    times = {
        name: positive(entry[name])
        for name in ("latency_ms", "p95_ms", "median_ms", "low_ms", "high_ms")
    }
    repeats, date, conditions = int(entry["repeats"]), str(entry["date"]), str(entry["conditions"])
    return Latency(repeats=repeats, date=date, conditions=conditions, **times)


def positive(value: Any) -> float:
    """A time in ms. Raises TypeError or ValueError for what is none."""
    number = float(value)
    if not (math.isfinite(number) and number > 0):
        raise ValueError(f"expected a time above 0 ms, got {number}")
    return number


def _check(path: Path, content: Mapping[str, Any]) -> None:
    for section in _SECTIONS:
        if not isinstance(content.get(section), dict):
            raise UserError(_damaged(path, f'expected an object at "{section}"'))
    for family, anchors in content["anchors"].items():
        if not isinstance(anchors, list) or not all(isinstance(a, dict) for a in anchors):
            raise UserError(_damaged(path, f"expected a list of structures at anchors.{family}"))
    for section, check in _CHECKS.items():
        for key, entry in content[section].items():
            try:
                check(entry)
            except (KeyError, TypeError, ValueError, AttributeError) as failed:
                raise UserError(_damaged(path, f"{section}.{key}: {failed!r}")) from failed
    for section in ("reference", "energy", "adapted_from"):
        if not isinstance(content.get(section, {}), dict):
            raise UserError(_damaged(path, f'expected an object at "{section}"'))
    try:
        positive(content.get("reference", {}).get("ms", 1))
    except (TypeError, ValueError) as failed:
        raise UserError(_damaged(path, f"reference.ms: {failed!r}")) from failed


def _check_network(entry: Mapping[str, Any]) -> None:
    latency_of(entry), int(entry["size_bytes"])


def _check_block(entry: Mapping[str, Any]) -> None:
    latency_of(entry["latency"]), dict(entry["shape"])


def _check_structures(entry: Mapping[str, Any]) -> None:
    for structure in entry.values():
        dict(structure)


_CHECKS: Final = {
    "latencies": _check_network,
    "blocks": _check_block,
    "structures": _check_structures,
}


def _damaged(path: Path, reason: str) -> str:
    return (
        f"{path}: not a device file that can be used: {reason}; "
        f"delete it to have the device measured again"
    )
