"""What each kind of operator stores, multiplies, reads and writes: one formula a cell."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from stillhouse.core.cost.sheet import Cells, Operator, OperatorKind

Formula = Callable[[Operator], Cells | float]


@dataclass(frozen=True)
class KindFormulas:
    """Formulas over a row, each giving (candidates,) or a number, before activity and chance.

    weights: stored entries that quantisation and sparsity apply to. biases: stored beside them.
    macs: multiply-accumulates per inference. read, written: activation elements per inference.
    """

    weights: Formula
    biases: Formula
    macs: Formula
    read: Formula
    written: Formula


def _none(row: Operator) -> float:
    return 0.0


def _bias(row: Operator) -> Cells | float:
    return row["bias"] * row["outputs"]


def _read(row: Operator) -> Cells | float:
    return row["positions"] * row["inputs"]


def _written(row: Operator) -> Cells | float:
    return row["positions"] * row["outputs"]


def _dense(row: Operator) -> Cells | float:
    return row["inputs"] * row["outputs"]


def _dense_macs(row: Operator) -> Cells | float:
    return row["positions"] * _dense(row)


def _conv(row: Operator) -> Cells | float:
    return _dense(row) * row["kernel"] / row["groups"]


def _conv_macs(row: Operator) -> Cells | float:
    return row["positions"] * _conv(row)


def _product_macs(row: Operator) -> Cells | float:
    return row["groups"] * _dense_macs(row)


def _product_read(row: Operator) -> Cells | float:
    return row["groups"] * (_read(row) + _dense(row))


def _product_written(row: Operator) -> Cells | float:
    return row["groups"] * _written(row)


def _scale(row: Operator) -> Cells | float:
    return row["outputs"]


def _gates(row: Operator) -> Cells | float:
    return row["groups"] * row["outputs"] * (row["inputs"] + row["outputs"])


def _gate_biases(row: Operator) -> Cells | float:
    # torch keeps one bias for the input and one for the state.
    return 2 * row["groups"] * _bias(row)


def _gate_macs(row: Operator) -> Cells | float:
    return row["positions"] * _gates(row)


KINDS: Final[Mapping[OperatorKind, KindFormulas]] = {
    "linear": KindFormulas(_dense, _bias, _dense_macs, _read, _written),
    # Read counts the output's positions: exact at stride 1, low by the stride otherwise.
    "conv1d": KindFormulas(_conv, _bias, _conv_macs, _read, _written),
    "matmul": KindFormulas(_none, _none, _product_macs, _product_read, _product_written),
    "norm": KindFormulas(_scale, _bias, _none, _written, _written),
    "table": KindFormulas(_dense, _none, _none, _none, _written),
    "elementwise": KindFormulas(_none, _none, _none, _written, _written),
    "recurrent": KindFormulas(_gates, _gate_biases, _gate_macs, _read, _written),
}
