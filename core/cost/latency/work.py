"""What blocks do, in the amounts that their time is made of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from stillhouse.core.cost.kinds import KINDS
from stillhouse.core.cost.sheet import Cells, Operator, OperatorKind


def work(kind: str, cells: Mapping[str, Cells | float]) -> tuple[Cells, Cells]:
    """Multiply-accumulates, and elements read and written (weights and biases too), both alike."""
    macs, elements = np.zeros(()), np.zeros(())
    for row in _rows(kind, cells):
        formulas = KINDS[row.kind]
        macs = macs + formulas.macs(row)
        elements = elements + formulas.read(row) + formulas.written(row) + formulas.biases(row)
        if row.kind != "table":  # of which only the entries written are read
            elements = elements + formulas.weights(row)
    macs, elements = np.broadcast_arrays(macs, elements)
    return macs, elements


def weight_bytes(kind: str, cells: Mapping[str, Cells | float]) -> Cells:
    """Bytes of the weights that one block multiplies with."""
    row = next(_rows(kind, cells))
    held = 0.0 if row.kind == "table" else KINDS[row.kind].weights(row)
    return np.asarray(held * row["weight_bits"] / 8, np.float64)


def parts(kind: str, cells: Mapping[str, Cells | float]) -> Cells | float:
    """Products that a block runs one after another beside its first: heads, or steps of time."""
    if kind == "recurrent":
        return cells["positions"] - 1
    return cells["groups"] - 1 if kind in ("attention", "matmul") else 0.0


def _rows(kind: str, cells: Mapping[str, Cells | float]) -> Iterator[Operator]:
    """A block as rows of a sheet, for the formulas of their kinds."""
    if kind != "attention":
        yield Operator("", _row_kind(kind), "", cells)
        return
    heads, keys, features = cells["groups"], cells["outputs"], cells["inputs"]
    yield Operator("", "matmul", "", cells)
    yield Operator("", "elementwise", "", {**cells, "outputs": heads * keys})
    yield Operator("", "matmul", "", {**cells, "inputs": keys, "outputs": features})


def _row_kind(kind: str) -> OperatorKind:
    match kind:
        case "cache":
            return "linear"
        case "linear" | "conv1d" | "conv2d" | "matmul" | "norm" | "table" | "recurrent":
            return kind
        case _:
            return "elementwise"
