"""Lines survive the process that wrote them; a torn end is cut, damage is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from stillhouse.core.errors import RunDirectoryError, UserError
from stillhouse.core.jsonlines import Appending, LinesFile


@pytest.fixture
def where(tmp_path: Path) -> LinesFile:
    return LinesFile(tmp_path / "lines.jsonl", RunDirectoryError, "start anew")


def write(where: LinesFile, *records: dict[str, object]) -> None:
    lines = Appending(where)
    lines.append(*records)
    lines.close()


def test_lines_appended_together_come_back_in_order(where: LinesFile) -> None:
    write(where, {"a": 1}, {"b": [0.1, None]})
    write(where, {"c": 2})
    assert where.read() == [{"a": 1}, {"b": [0.1, None]}, {"c": 2}]


def test_a_torn_end_is_cut_on_opening_and_left_out_in_reading(where: LinesFile) -> None:
    write(where, {"a": 1})
    whole = where.path.read_bytes()
    where.path.write_bytes(whole + b'{"b"')
    assert where.read() == [{"a": 1}]
    assert where.path.read_bytes() == whole + b'{"b"'
    write(where, {"c": 3})
    assert where.path.read_bytes() == whole + b'{"c": 3}\n'


@pytest.mark.parametrize(("line", "fact"), [(b"{]\n", "Expecting"), (b"[1]\n", "got list")])
def test_a_damaged_line_is_named_with_the_next_step(
    where: LinesFile, line: bytes, fact: str
) -> None:
    where.path.write_bytes(b'{"a": 1}\n' + line)
    with pytest.raises(RunDirectoryError, match=rf"lines\.jsonl:2: damaged.*{fact}.*; start anew"):
        Appending(where)
    with pytest.raises(RunDirectoryError, match="damaged"):
        where.read()


def test_an_exclusive_file_is_refused_while_it_is_open(where: LinesFile) -> None:
    held = Appending(where, exclusive=True)
    with pytest.raises(RunDirectoryError, match="is open already"):
        Appending(where, exclusive=True)
    held.close()
    Appending(where, exclusive=True).close()


def test_numbers_that_json_lacks_are_not_written(where: LinesFile) -> None:
    lines = Appending(where)
    with pytest.raises(ValueError, match="JSON"):
        lines.append({"a": float("nan")})
    lines.close()
    assert where.path.read_bytes() == b""


def test_a_folder_that_is_not_there_is_the_users_error(tmp_path: Path) -> None:
    where = LinesFile(tmp_path / "no" / "lines.jsonl", UserError, "start anew")
    with pytest.raises(UserError, match=r"cannot be written \(No such file.*; start anew"):
        Appending(where)
    with pytest.raises(UserError, match="cannot be read"):
        where.read()
