"""The ledger: one JSON line an evaluation, on disk before the next ask, never rewritten."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, final

from stillhouse.core.errors import RunDirectoryError
from stillhouse.core.jsonlines import Appending, LinesFile
from stillhouse.core.typed import typed

FORMAT = 1


@dataclass(frozen=True)
class Entry:
    """One finished evaluation. `values` is empty when it failed, with the reason in `error`.

    `fidelity` is None, and absent from the file, where the run has only one.
    """

    number: int
    key: str
    configuration: Mapping[str, Any]
    costs: Mapping[str, float]
    values: Mapping[str, float]
    seconds: float
    error: str = ""
    fidelity: float | None = None


@final
class Ledger:
    """Append-only file of evaluations in the order they were proposed.

    The first line names the format and the run's fingerprint. A torn last line (the process was
    killed while writing it) is cut off when the file is opened; a damaged line elsewhere, or
    another run's fingerprint, is a `RunDirectoryError`.
    """

    def __init__(self, path: Path, fingerprint: str) -> None:
        self.path = path
        self.entries: list[Entry] = []
        self._lines = Appending(_file(path))
        try:
            self._open(fingerprint)
        except BaseException:
            self.close()
            raise
        self.by_key = {entry.key: entry for entry in self.entries}

    def append(self, entry: Entry) -> None:
        """Write one evaluation through to the disk."""
        absent = ("fidelity",) if entry.fidelity is None else ()
        self._lines.append({k: v for k, v in entry.__dict__.items() if k not in absent})
        self.entries.append(entry)
        self.by_key[entry.key] = entry

    def close(self) -> None:
        self._lines.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open(self, fingerprint: str) -> None:
        if not self._lines.records:
            self._lines.append({"format": FORMAT, "fingerprint": fingerprint})
            return
        header = self._lines.records[0]
        if header.get("format") != FORMAT or header.get("fingerprint") != fingerprint:
            raise RunDirectoryError(
                f"{self.path}: expected the ledger of this run (fingerprint {fingerprint}), got "
                f"{header.get('fingerprint')}; the run file or the data changed since it was "
                "started: search into another directory with --out"
            )
        self.entries = _entries(_file(self.path), self._lines.records)


def read_entries(path: Path) -> list[Entry]:
    """What a run's ledger holds, whatever its fingerprint; a torn last line is left out.

    Writes nothing, so the run may be going on. Raises RunDirectoryError when the file is missing,
    damaged, or of another format.
    """
    where = _file(path)
    records = where.read()
    if records and records[0].get("format") != FORMAT:
        found = records[0].get("format")
        raise where.refusal(f"expected a ledger of format {FORMAT}, got {found}")
    return _entries(where, records)


def _file(path: Path) -> LinesFile:
    mend = "restore the file from a copy, or search into another directory with --out"
    return LinesFile(path, RunDirectoryError, mend)


def _entries(where: LinesFile, records: list[dict[str, Any]]) -> list[Entry]:
    return [_entry(where, number, record) for number, record in enumerate(records[1:], 2)]


def _entry(where: LinesFile, number: int, record: Mapping[str, Any]) -> Entry:
    try:
        return typed(Entry, record)
    except TypeError as error:
        raise where.damaged(number, str(error)) from None
