"""Cells of a sheet by row and column, for whoever reads back what wrote it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.cost.sheet import Cells, Operator, OperatorSheet
from stillhouse.core.errors import UserError


@final
class Reading:
    """The rows of a sheet by name."""

    def __init__(self, sheet: OperatorSheet) -> None:
        self.candidates = sheet.candidates
        self.rows = {row.name: row for row in sheet.rows}

    def cells(self, row: str, column: str) -> Cells:
        """(candidates,); `UserError` where no row has the name."""
        if row not in self.rows:
            raise UserError(
                f"expected the sheet of networks as their family builds them, with a row '{row}', "
                "came one without; let nothing that changes layers go before"
            )
        return over(self.rows[row], column, self.candidates)

    def stacked(self, rows: Sequence[str], column: str) -> NDArray[np.float64]:
        """(candidates, rows)."""
        found = [self.cells(row, column) for row in rows]
        return np.stack(found, 1) if found else np.zeros((self.candidates, 0))

    def numbered(self, name: str, part: str) -> list[str]:
        """`name.0`, `name.1`, ... as long as there is a row `name.i.part`."""
        found: list[str] = []
        while f"{name}.{len(found)}.{part}" in self.rows:
            found.append(f"{name}.{len(found)}")
        return found


def over(row: Operator, column: str, candidates: int) -> Cells:
    """One cell of a row as an array over candidates."""
    return np.broadcast_to(np.asarray(row[column], np.float64), (candidates,))
