"""What a latency is made of: counts of work that have a price each, read off the sheet."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from stillhouse.core.cost.kinds import KINDS, times
from stillhouse.core.cost.latency.judging import Array
from stillhouse.core.cost.latency.shapes import layouts
from stillhouse.core.cost.row_costs import RowCosts, Value
from stillhouse.core.cost.sheet import Cells, Operator, OperatorSheet
from stillhouse.core.cost.terms import operators

_WEIGHTED: Final = frozenset({"linear", "conv1d", "conv2d", "recurrent"})
_FLOAT_BITS: Final = 32.0
_LANES: Final = 16
"""Matrix kernels for vector units work in blocks of so many columns: a width of 24 costs what 32
does, but for loading (MLAS, `SgemmKernel*`; oneDNN alike)."""


def features(sheet: OperatorSheet) -> dict[str, Cells]:
    """Work of one inference by name, each (candidates,), none of them negative.

    A constant and the operators that run; and for each kind of operator and bits of its operands
    the multiply-accumulates, the same with outputs filled up to whole blocks, and the activations
    written. Operators of fewer bits are counted by kind as well, and so are the places where
    activations pass from one width to another: kernels want them in another order there. Kinds of
    which no candidate has any are left out. Expected values: a row counts with the probability that
    a sample reaches it.
    """
    found = {"constant": np.ones(sheet.candidates), "operators": operators(sheet)}
    for row in sheet.rows:
        for name, count in _work(row):
            _add(found, name, count)
    _add(found, "changes of width", _changes(sheet))
    return found


def _add(found: dict[str, Cells], name: str, count: Value) -> None:
    if np.any(count):
        total = found.setdefault(name, np.zeros(len(found["constant"])))
        total += count


def matrix(columns: dict[str, Cells]) -> Array:
    """Features side by side, (candidates, features)."""
    return np.stack(list(columns.values()), axis=1)


def _work(row: Operator) -> Iterator[tuple[str, Value]]:
    formulas = KINDS[row.kind]
    for name, share in layouts(row):
        runs = times(times(row["active"], row["probability"]), share)
        macs = times(formulas.macs(row), runs)
        yield f"macs {name}", macs
        yield f"block macs {name}", macs * _filled_up(row["outputs"])
        yield f"written {name}", times(formulas.written(row), runs)
        if name != row.kind:
            yield f"operators {name}", runs


def _changes(sheet: OperatorSheet) -> Cells:
    """How often operators with weights get activations of another width than the last one's."""
    changes, last = np.zeros(sheet.candidates), np.full(sheet.candidates, _FLOAT_BITS)
    for row in sheet.rows:
        if row.kind in _WEIGHTED:
            width = RowCosts(row).kept_bits
            changes += times(row["active"], row["probability"]) * np.not_equal(width, last)
            last = np.where(row["active"], width, last)
    return changes


def _filled_up(outputs: Value) -> Value:
    """Columns computed for each one wanted."""
    wanted = np.maximum(outputs, 1)
    blocks: Value = np.ceil(wanted / _LANES) * _LANES / wanted
    return blocks
