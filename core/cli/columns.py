"""Text in columns: one aligned line a row, and under it a wrapped note."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """Cells under the header's columns, and a note for the line below them."""

    cells: tuple[str, ...]
    note: str = ""


def columns(header: Sequence[str], rows: Sequence[Row], *, width: int) -> Iterator[str]:
    """Lines of the table. Cells are never cut or wrapped; notes are wrapped at `width`.

    Columns stand two spaces apart, or one where the table would be wider than `width`.
    """
    lines = [tuple(header), *(row.cells for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    gap = "  " if sum(widths) + 2 * (len(widths) - 1) <= width else " "
    yield _aligned(tuple(header), widths, gap)
    for row in rows:
        yield _aligned(row.cells, widths, gap)
        yield from wrapped(row.note, width=width, indent=widths[0] + 2, hang=widths[0] + 2)


def wrapped(text: str, *, width: int, indent: int, hang: int) -> list[str]:
    """Lines of at most `width` where words allow: the first indented, the others by `hang`."""
    return textwrap.wrap(
        text,
        width,
        initial_indent=" " * indent,
        subsequent_indent=" " * hang,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _aligned(cells: tuple[str, ...], widths: Sequence[int], gap: str) -> str:
    return gap.join(f"{c:<{w}}" for c, w in zip(cells, widths, strict=True)).rstrip()
