"""Factorised layers as rows of the operator sheet, for all candidates at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import numpy as np

from stillhouse.core.cost.kinds import KINDS
from stillhouse.core.cost.sheet import Cells, Operator, OperatorSheet
from stillhouse.plugins.factorize.choosing import kept_rank, share_of
from stillhouse.plugins.layers.naming import matches

_KINDS: Final = frozenset({"linear", "conv1d", "conv2d"})


def factorised_sheet(
    sheet: OperatorSheet, columns: Mapping[str, Any], patterns: str
) -> OperatorSheet:
    """The sheet with two rows for every row that some candidate factorises."""
    rows: list[Operator] = []
    for row, waiting in zip(sheet.rows, _waiting(sheet), strict=True):
        chosen = row.kind in _KINDS and matches(row.name, patterns)
        rank = _rank(row, share_of(row.group, columns)) if chosen else np.zeros(1)
        rows += _two(row, rank, waiting) if np.any(rank) else [row]
    return OperatorSheet(sheet.candidates, tuple(rows))


def _rank(row: Operator, share: Any) -> Cells:
    """0 where the layer stays whole."""
    own = np.equal(row["groups"], 1) & np.equal(row["fixed"], 0) & np.equal(row["shared"], 0)
    entries = row["inputs"] * (row["kernel"] if row.kind != "linear" else 1)
    return kept_rank(share, row["outputs"], entries) * own


def _two(row: Operator, rank: Cells, waiting: Cells) -> list[Operator]:
    thin = rank > 0
    first: dict[str, Cells | float] = {
        **row.cells,
        "active": np.where(thin, row["active"], 0.0),
        "outputs": np.maximum(rank, 1),
        "bias": 0,
    }

    def after(column: str, value: Cells | float) -> Cells:
        return np.where(thin, value, row[column])

    second: dict[str, Cells | float] = {
        **row.cells,
        "inputs": after("inputs", rank),
        "kernel": after("kernel", 1.0),
        "read_positions": after("read_positions", 0.0),
        "held": after("held", waiting),
    }
    return [replace(row, name=f"{row.name}.0", cells=first), replace(row, cells=second)]


def _waiting(sheet: OperatorSheet) -> list[Cells]:
    """Elements alive after each row has run, beside those that it wrote.

    They are what the next row that runs reads and holds.
    """
    found: list[Cells] = []
    after = np.zeros(sheet.candidates)
    for row in reversed(sheet.rows):
        formulas = KINDS[row.kind]
        found.append(np.maximum(after - formulas.written(row), 0))
        runs = np.not_equal(np.multiply(row["active"], row["positions"]), 0)
        after = np.where(runs, formulas.read(row) + row["held"], after)
    return found[::-1]
