"""Binary layers as rows of the operator sheet, for all candidates at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from stillhouse.core.cost.kinds import KINDS
from stillhouse.core.cost.sheet import Cells, Operator, OperatorSheet
from stillhouse.plugins.binary.choosing import MATRICES, named, switched
from stillhouse.plugins.layers.naming import matches


def binary_sheet(sheet: OperatorSheet, columns: Mapping[str, Any], patterns: str) -> OperatorSheet:
    """The sheet in which chosen rows are of 1 bit, with what they store beside it behind them."""
    known = named(sheet)
    rows: list[Operator] = []
    for row in sheet.rows:
        binary = np.zeros(1)
        if row.kind in MATRICES and matches(known[row.name], patterns):
            binary = _binary(row, switched(row.group, columns))
        rows += _changed(row, binary, columns["scale"]) if np.any(binary) else [row]
    return OperatorSheet(sheet.candidates, tuple(rows))


def _binary(row: Operator, switch: Any) -> Cells:
    """1 where the row becomes binary."""
    own = np.equal(row["groups"], 1) & np.equal(row["fixed"], 0) & np.equal(row["shared"], 0)
    return np.asarray(switch, np.float64) * own


def _changed(row: Operator, binary: Cells, scale: Any) -> Iterator[Operator]:
    def where(column: str, value: Cells | float) -> Cells:
        return np.where(binary, value, row[column])

    bits = {name: where(name, 1.0) for name in ("weight_bits", "activation_bits", "packed")}
    yield replace(row, cells={**row.cells, **bits, "held": where("held", _held(row))})
    active = row["active"] * binary
    stored: dict[str, Cells | float] = {"inputs": 1.0, "positions": 0.0, "active": active}
    threshold = {**stored, "outputs": row["inputs"]}
    yield Operator(f"{row.name}.threshold", "table", row.group, threshold)
    scaled = active * np.asarray(scale, np.float64)
    sizes = {**stored, "active": scaled, "outputs": row["outputs"], "weight_bits": 16, "fixed": 1}
    yield Operator(f"{row.name}.scale", "table", row.group, sizes)


def _held(row: Operator) -> Cells | float:
    """Bits alive beside 1 for each input and output, which stay as wide as they were in memory."""
    formulas = KINDS[row.kind]
    own = formulas.read(row) + formulas.written(row)
    return (own + row["held"]) * row["activation_bits"] - own
