"""Tables of text read row by row: every fault has its line."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from stillhouse.core.errors import DataError, nearest
from stillhouse.core.plain_file import check

SEPARATORS: Final = {"comma": ",", "tab": "\t", "semicolon": ";"}


@dataclass(frozen=True)
class Row:
    """A row's cells by column, and the line of the file where it ends."""

    line: int
    cells: Mapping[str, str]


def rows(path: Path, separator: str, columns: Mapping[str, str]) -> list[Row]:
    """Every row under the header, quoted as in RFC 4180; blank lines are passed over.

    `separator` is a key of `SEPARATORS`, or "auto": tab for .tsv and .tab, comma for all else.
    `columns` are those that are needed, by the run file's parameter that names them. Raises
    `DataError` naming file and line.
    """
    tabbed = path.suffix.lower() in (".tsv", ".tab")
    listed = _read(path, SEPARATORS.get(separator, "\t" if tabbed else ","))
    try:
        first, header = next(listed)
    except StopIteration:
        raise DataError(f"{path}: expected a header and rows, found an empty file") from None
    _check_header(f"{path}:{first}", header, columns)
    found = [Row(line, _cells(f"{path}:{line}", header, cells)) for line, cells in listed]
    if not found:
        raise DataError(f"{path}: expected rows under the header, found none")
    return found


def _read(path: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(_text(path), newline=""), delimiter=delimiter, strict=True)
    try:
        for cells in reader:
            if cells:
                yield reader.line_num, cells
    except csv.Error as fault:
        raise DataError(
            f"{path}:{reader.line_num}: cannot be read as a table: {fault}; "
            "quote cells that hold the separator or a line break, and double quotes inside them"
        ) from fault


def _text(path: Path) -> str:
    if not path.is_file():
        found = "a folder" if path.is_dir() else "no file"
        raise DataError(f"{path}: expected a table of text, found {found}; check the path")
    try:
        check(path)
        content = path.read_bytes()
    except (OSError, ValueError) as fault:
        raise DataError(f"{path}: cannot be read: {fault}; store fewer rows") from fault
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        line = content[: fault.start].count(b"\n") + 1
        raise DataError(
            f"{path}:{line}: expected UTF-8, got the byte 0x{content[fault.start]:02x}; "
            "save the file as UTF-8"
        ) from fault


def _check_header(where: str, header: Sequence[str], columns: Mapping[str, str]) -> None:
    twice = [name for place, name in enumerate(header) if name in header[:place]]
    if twice:
        raise DataError(f"{where}: the column '{twice[0]}' occurs twice; rename one of them")
    for parameter, name in columns.items():
        if name not in header:
            raise DataError(
                f"{where}: expected a column '{name}', found {', '.join(header)}"
                f"{nearest(name, header)}; name the right one with `{parameter}`"
            )


def _cells(where: str, header: Sequence[str], cells: Sequence[str]) -> dict[str, str]:
    if len(cells) != len(header):
        raise DataError(
            f"{where}: expected {len(header)} cells as in the header, got {len(cells)}; "
            "quote cells that hold the separator"
        )
    return dict(zip(header, cells, strict=True))
