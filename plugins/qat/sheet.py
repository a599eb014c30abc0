"""Quantised layers as rows of the operator sheet, for all candidates at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import numpy as np

from stillhouse.core.cost.kinds import KINDS
from stillhouse.core.cost.sheet import Cells, Operator, OperatorSheet
from stillhouse.plugins.qat.finding import FULL, bits_of, matches

_KINDS: Final = frozenset({"linear", "conv1d", "conv2d"})
_PACKED: Final = 4


def quantised_sheet(
    sheet: OperatorSheet, columns: Mapping[str, Any], patterns: str
) -> OperatorSheet:
    """The sheet with bits on every row that some candidate quantises, and its steps beside it."""
    rows: list[Operator] = []
    for row in sheet.rows:
        chosen = _chosen(row, columns, patterns)
        rows += _with_steps(row, columns, chosen) if np.any(chosen) else [row]
    return OperatorSheet(sheet.candidates, tuple(rows))


def _chosen(row: Operator, columns: Mapping[str, Any], patterns: str) -> Cells:
    """Where a candidate quantises the row."""
    if row.kind not in _KINDS or not matches(row.name, patterns):
        return np.zeros(1)
    own = np.equal(row["fixed"], 0) & np.equal(row["shared"], 0)
    found: Cells = np.not_equal(bits_of(row.group, columns), FULL) * own * 1.0
    return found


def _with_steps(row: Operator, columns: Mapping[str, Any], chosen: Cells) -> list[Operator]:
    """The row, and the steps of its weights: stored and trained, run by no operator."""
    bits, integer = bits_of(row.group, columns), np.equal(columns["activations"], 1)
    entries = row["inputs"] * (row["kernel"] / row["groups"] if row.kind != "linear" else 1)
    packed = chosen * np.equal(bits, _PACKED) * np.equal(np.mod(entries, 2), 0)
    whole = np.where(np.equal(bits, _PACKED) & (packed > 0), _PACKED, 8)
    cells: dict[str, Cells | float] = {
        "weight_bits": np.where(chosen, whole, row["weight_bits"]),
        "activation_bits": np.where(chosen * integer, 8, row["activation_bits"]),
        "packed": np.where(chosen, packed, row["packed"]),
        "density": np.where(packed, 1, row["density"]),
        "held": np.where(chosen * integer, _held(row), row["held"]),
    }
    steps: dict[str, Cells | float] = {
        "active": row["active"] * chosen,
        "inputs": 1.0,
        "outputs": row["outputs"],
        "positions": 0.0,
    }
    beside = Operator(f"{row.name}.steps", "table", row.group, steps)
    return [replace(row, cells={**row.cells, **cells}), beside]


def _held(row: Operator) -> Cells | float:
    """Elements of 8 bits alive beside the row's own: what it writes and others hold has 32."""
    return 3 * KINDS[row.kind].written(row) + 4 * row["held"]
