"""What a latency is made of: counts of work that have a price each, read off the sheet."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from stillhouse.core.cost.kinds import KINDS, times
from stillhouse.core.cost.latency.judging import Array
from stillhouse.core.cost.latency.shapes import layout
from stillhouse.core.cost.row_costs import Value
from stillhouse.core.cost.sheet import Cells, Operator, OperatorSheet
from stillhouse.core.cost.terms import operators

_LANES: Final = 16
"""Matrix kernels for vector units work in blocks of so many columns: a width of 24 costs what 32
does, but for loading (MLAS, `SgemmKernel*`; oneDNN alike)."""


def features(sheet: OperatorSheet) -> dict[str, Cells]:
    """Work of one inference by name, each (candidates,), none of them negative.

    A constant and the operators that run; and for each kind of operator and bits of its operands
    the multiply-accumulates, the same with outputs filled up to whole blocks, and the activations
    written. Kinds of which no candidate has any are left out. Expected values: a row counts with
    the probability that a sample reaches it.
    """
    found = {"constant": np.ones(sheet.candidates), "operators": operators(sheet)}
    for row in sheet.rows:
        for name, count in _work(row):
            if np.any(count):
                total = found.setdefault(name, np.zeros(sheet.candidates))
                total += count
    return found


def matrix(columns: dict[str, Cells]) -> Array:
    """Features side by side, (candidates, features)."""
    return np.stack(list(columns.values()), axis=1)


def _work(row: Operator) -> Iterator[tuple[str, Value]]:
    formulas = KINDS[row.kind]
    for name, share in _by_layout(row):
        runs = times(times(row["active"], row["probability"]), share)
        macs = times(formulas.macs(row), runs)
        yield f"macs {name}", macs
        yield f"block macs {name}", macs * _filled_up(row["outputs"])
        yield f"written {name}", times(formulas.written(row), runs)


def _filled_up(outputs: Value) -> Value:
    """Columns computed for each one wanted."""
    wanted = np.maximum(outputs, 1)
    blocks: Value = np.ceil(wanted / _LANES) * _LANES / wanted
    return blocks


def _by_layout(row: Operator) -> Iterator[tuple[str, Value]]:
    """The kind with each pair of bits that candidates have, and which of them have it."""
    weights, activations = row["weight_bits"], row["activation_bits"]
    if np.ndim(weights) == 0 and np.ndim(activations) == 0:
        yield layout(row.kind, float(weights), float(activations)), 1.0
        return
    for w in np.unique(weights):
        for a in np.unique(activations):
            share: Value = (np.equal(weights, w) & np.equal(activations, a)) * 1.0
            yield layout(row.kind, float(w), float(a)), share
