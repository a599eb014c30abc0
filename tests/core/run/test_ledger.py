"""The ledger keeps every finished evaluation, whatever happens to the process."""

from __future__ import annotations

from pathlib import Path

import pytest

from stillhouse.core.errors import RunDirectoryError
from stillhouse.core.run.ledger import Entry, Ledger


def entry(number: int) -> Entry:
    return Entry(number, f"k{number}", {"a": number}, {"macs": 1.0}, {"accuracy": 0.5}, 0.1)


def written(path: Path, count: int) -> Path:
    ledger = Ledger(path, "f")
    for i in range(count):
        ledger.append(entry(i))
    ledger.close()
    return path


def test_entries_come_back_in_order(tmp_path: Path) -> None:
    path = written(tmp_path / "ledger.jsonl", 3)
    with Ledger(path, "f") as ledger:
        assert ledger.entries == [entry(0), entry(1), entry(2)]


def test_a_torn_line_at_any_byte_loses_only_itself(tmp_path: Path) -> None:
    whole = written(tmp_path / "whole.jsonl", 2).read_bytes()
    last = whole.rstrip(b"\n").rfind(b"\n") + 1
    for cut in range(last, len(whole)):
        path = tmp_path / "torn.jsonl"
        path.write_bytes(whole[:cut])
        ledger = Ledger(path, "f")
        assert ledger.entries == [entry(0)]
        ledger.append(entry(1))
        ledger.close()
        assert path.read_bytes() == whole


def test_a_torn_header_starts_the_ledger_again(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    path.write_bytes(b'{"format"')
    Ledger(path, "f").close()
    with Ledger(path, "f") as ledger:
        assert ledger.entries == []


def test_another_runs_ledger_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "ledger.jsonl", 1)
    with pytest.raises(RunDirectoryError, match="fingerprint"):
        Ledger(path, "other")


@pytest.mark.parametrize(
    "line",
    [
        b"{]",
        b"[]",
        b'{"number": 1}',
        b'{"number": 0, "key": "k", "configuration": {}, "costs": {}, "values": 0, "seconds": 1}',
        b"\xff\xfe",
    ],
)
def test_a_damaged_line_in_the_middle_is_named_by_its_number(tmp_path: Path, line: bytes) -> None:
    path = written(tmp_path / "ledger.jsonl", 2)
    lines = path.read_bytes().splitlines()
    lines[1] = line
    path.write_bytes(b"\n".join(lines) + b"\n")
    with pytest.raises(RunDirectoryError, match=r"ledger\.jsonl:2: damaged line"):
        Ledger(path, "f")
