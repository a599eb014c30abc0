"""The ledger: one JSON line an evaluation, on disk before the next ask, never rewritten."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, final

from stillhouse.core.errors import RunDirectoryError

FORMAT = 1


@dataclass(frozen=True)
class Entry:
    """One finished evaluation. `values` is empty when it failed, with the reason in `error`."""

    number: int
    key: str
    configuration: Mapping[str, Any]
    costs: Mapping[str, float]
    values: Mapping[str, float]
    seconds: float
    error: str = ""


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
        if path.exists() and path.stat().st_size:
            self._recover(fingerprint)
        self._file = path.open("ab")
        if not self._file.tell():
            self._write({"format": FORMAT, "fingerprint": fingerprint})
        self.by_key = {entry.key: entry for entry in self.entries}

    def append(self, entry: Entry) -> None:
        """Write one evaluation through to the disk."""
        self._write(entry.__dict__)
        self.entries.append(entry)
        self.by_key[entry.key] = entry

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _write(self, line: Mapping[str, Any]) -> None:
        self._file.write(json.dumps(line, allow_nan=False).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def _recover(self, fingerprint: str) -> None:
        text = self.path.read_bytes()
        whole = text.rfind(b"\n") + 1
        if whole < len(text):
            os.truncate(self.path, whole)
        lines = text[:whole].splitlines()
        if not lines:
            return
        header = self._parse(lines[0], 1)
        if header.get("format") != FORMAT or header.get("fingerprint") != fingerprint:
            raise RunDirectoryError(
                f"{self.path}: expected the ledger of this run (fingerprint {fingerprint}), got "
                f"{header.get('fingerprint')}; the run file or the data changed since it was "
                "started: search into another directory with --out"
            )
        self.entries = [self._entry(line, i) for i, line in enumerate(lines[1:], 2)]

    def _entry(self, line: bytes, number: int) -> Entry:
        try:
            entry = Entry(**self._parse(line, number))
        except TypeError as error:
            raise self._damaged(number, str(error)) from None
        tables = (entry.configuration, entry.costs, entry.values)
        if not (isinstance(entry.key, str) and all(isinstance(t, dict) for t in tables)):
            raise self._damaged(number, "a field has the wrong type")
        return entry

    def _parse(self, line: bytes, number: int) -> dict[str, Any]:
        try:
            parsed = json.loads(line)
        except ValueError as error:
            raise self._damaged(number, str(error)) from None
        if not isinstance(parsed, dict):
            raise self._damaged(number, f"expected an object, got {type(parsed).__name__}")
        return parsed

    def _damaged(self, number: int, fact: str) -> RunDirectoryError:
        return RunDirectoryError(
            f"{self.path}:{number}: damaged line ({fact}); restore the file from a copy, or "
            "search into another directory with --out"
        )
