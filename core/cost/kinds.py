"""What each kind of operator stores, multiplies, reads and writes: one formula a cell."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from stillhouse.core.cost.sheet import Cells, Operator, OperatorKind

Formula = Callable[[Operator], Cells | float]
Matrices = tuple[tuple[Cells | float, Cells | float], ...]
"""Stored matrices, each as its rows and the entries of a row."""


@dataclass(frozen=True)
class KindFormulas:
    """Formulas over a row, each giving (candidates,) or a number, before activity and chance.

    matrices: stored entries that quantisation and sparsity apply to. biases: stored beside them.
    products: multiply-accumulates per inference; None where every weight has one at each position.
    read, written: activation elements per inference.
    """

    matrices: Callable[[Operator], Matrices]
    biases: Formula
    products: Formula | None
    read: Formula
    written: Formula

    def weights(self, row: Operator) -> Cells | float:
        """Entries of all matrices."""
        sizes = [rows * entries for rows, entries in self.matrices(row)]
        return sum(sizes[1:], start=sizes[0]) if sizes else 0.0

    def macs(self, row: Operator) -> Cells | float:
        """Multiply-accumulates per inference."""
        return self.products(row) if self.products else row["positions"] * self.weights(row)


def _nothing(row: Operator) -> Matrices:
    return ()


def _none(row: Operator) -> float:
    return 0.0


def _bias(row: Operator) -> Cells | float:
    return times(row["outputs"], row["bias"])


def _positions_read(row: Operator) -> Cells | float:
    given = row["read_positions"]
    if np.ndim(given) == 0:
        return given or row["positions"]
    return np.where(given, given, row["positions"])


def _read(row: Operator) -> Cells | float:
    return _positions_read(row) * row["inputs"]


def _written(row: Operator) -> Cells | float:
    return row["positions"] * row["outputs"]


def _same_read(row: Operator) -> Cells | float:
    return _positions_read(row) * row["outputs"]


def _dense(row: Operator) -> Matrices:
    return ((row["outputs"], row["inputs"]),)


def _conv(row: Operator) -> Matrices:
    return ((row["outputs"], row["inputs"] * row["kernel"] / row["groups"]),)


def _product_macs(row: Operator) -> Cells | float:
    return row["positions"] * row["inputs"] * row["outputs"] * row["groups"]


def _product_read(row: Operator) -> Cells | float:
    return row["groups"] * row["inputs"] * (row["positions"] + row["outputs"])


def _product_written(row: Operator) -> Cells | float:
    return row["groups"] * _written(row)


def _scale(row: Operator) -> Matrices:
    return ((1.0, row["outputs"]),)


def _entries(row: Operator) -> Matrices:
    return ((row["inputs"], row["outputs"]),)


def _gates(row: Operator) -> Matrices:
    rows = row["groups"] * row["outputs"]
    return ((rows, row["inputs"]), (rows, row["outputs"]))


def _gate_biases(row: Operator) -> Cells | float:
    # torch keeps one bias for the input and one for the state.
    return 2 * row["groups"] * _bias(row)


def times(value: Cells | float, factor: Cells | float) -> Cells | float:
    """The product, without a pass over the candidates where the factor is the number 1."""
    return value if np.ndim(factor) == 0 and factor == 1 else value * factor


_CONVOLUTION: Final = KindFormulas(_conv, _bias, None, _read, _written)

KINDS: Final[Mapping[OperatorKind, KindFormulas]] = {
    "linear": KindFormulas(_dense, _bias, None, _read, _written),
    "conv1d": _CONVOLUTION,
    "conv2d": _CONVOLUTION,
    "matmul": KindFormulas(_nothing, _none, _product_macs, _product_read, _product_written),
    "norm": KindFormulas(_scale, _bias, _none, _same_read, _written),
    "table": KindFormulas(_entries, _none, _none, _none, _written),
    "elementwise": KindFormulas(_nothing, _none, _none, _same_read, _written),
    "recurrent": KindFormulas(_gates, _gate_biases, None, _read, _written),
    # What it sends is neither read nor written here: `terms.transferred_bytes`.
    "transfer": KindFormulas(_nothing, _none, _none, _none, _none),
}
