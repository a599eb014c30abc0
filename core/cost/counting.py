"""Operator sheets of networks that no formula describes, counted one network at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from torch import Tensor, nn

from stillhouse.core.cost.origin import origin
from stillhouse.core.cost.sheet import Cells, Operator, OperatorSheet
from stillhouse.core.cost.tracing import traced


def module_sheet(modules: Sequence[nn.Module], example: Tensor) -> OperatorSheet:
    """The sheet whose candidates are the modules, in order; `example` is one input, (1, ...).

    Each is run once on torch's meta device: exact, and about 10 ms for a layer of a
    transformer. Raises ValueError, see `traced`.
    """
    return joined([traced(module, example) for module in modules])


def joined(counted: Sequence[Sequence[Operator]]) -> OperatorSheet:
    """One sheet of networks that were traced singly.

    Rows of one name and kind are one row, inactive for the candidates that lack it.
    """
    order: list[tuple[str, str]] = []
    found: dict[tuple[str, str], list[tuple[int, Operator]]] = {}
    for candidate, rows in enumerate(counted):
        place = 0
        for row in rows:
            key = (row.name, row.kind)
            if key not in found:
                order.insert(place, key)
            place = place + 1 if key not in found else order.index(key) + 1
            found.setdefault(key, []).append((candidate, row))
    return OperatorSheet(len(counted), tuple(_joined(found[key], len(counted)) for key in order))


def regrouped(sheet: OperatorSheet, earlier: OperatorSheet) -> OperatorSheet:
    """The sheet with the groups of an earlier one, where a row comes from one that was there.

    `"blocks.0.up.1"` comes from `"blocks.0.up"`, see `origin`.
    """
    groups = {row.name: row.group for row in earlier.rows}
    rows = [
        replace(row, group=groups[found]) if (found := origin(row.name, groups)) else row
        for row in sheet.rows
    ]
    return OperatorSheet(sheet.candidates, tuple(rows))


def _joined(found: Sequence[tuple[int, Operator]], candidates: int) -> Operator:
    at, first = [candidate for candidate, _ in found], found[0][1]
    names = dict.fromkeys(name for _, row in found for name in row.cells)
    # Where the row is inactive the default stands, which no formula divides to infinity.
    plain = Operator("", first.kind, "")
    cells: dict[str, Cells | float] = {
        name: _placed(at, [float(row[name]) for _, row in found], float(plain[name]), candidates)
        for name in names
    }
    if len(at) < candidates:
        cells["active"] = _placed(at, [1.0] * len(at), 0.0, candidates)
    return replace(first, cells=cells)


def _placed(at: Sequence[int], values: Sequence[float], others: float, candidates: int) -> Cells:
    cells = np.full(candidates, others)
    cells[np.array(at, np.int64)] = values
    return cells
