"""Costs read off an operator sheet, for all candidates at once; each is (candidates,) float64.

What depends on running (MACs, operators, bytes touched) is an expected value: a row counts with
the probability that a sample reaches it. What is stored or must fit (parameters, weight bytes,
peak activations) does not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from stillhouse.core.cost.kinds import KINDS
from stillhouse.core.cost.sheet import Cells, Operator, OperatorSheet

_FLOAT_BITS: Final = 32
_FLOAT_BYTES: Final = 4


def parameters(sheet: OperatorSheet) -> Cells:
    """Stored weights and biases, zeros included: the sum of `numel` of the plain network."""
    return _total(sheet, lambda row: _weights(row) + KINDS[row.kind].biases(row))


def weight_bytes(sheet: OperatorSheet) -> Cells:
    """Bytes of the weights at their bits and density, biases at 32 bits; no file overhead."""
    return _total(sheet, _stored_bytes)


def macs(sheet: OperatorSheet) -> Cells:
    """Expected multiply-accumulates of one inference; sparse weights count as dense."""
    return _total(sheet, _expected_macs)


def macs_by_group(sheet: OperatorSheet) -> dict[str, Cells]:
    """`macs` split by the rows' groups, in the order the groups first appear."""
    groups = dict.fromkeys(row.group for row in sheet.rows)
    return {g: _total(sheet, _expected_macs, group=g) for g in groups}


def operators(sheet: OperatorSheet) -> Cells:
    """Expected number of operators that one inference runs."""
    return _total(sheet, lambda row: row["probability"])


def bytes_touched(sheet: OperatorSheet) -> Cells:
    """Expected bytes one inference reads and writes, were nothing cached between operators.

    Weights and biases once, activations (float32) at every operator; of a table only the
    entries looked up.
    """
    return _total(sheet, _touched_bytes)


def peak_activation_bytes(sheet: OperatorSheet) -> Cells:
    """Most bytes of float32 activations alive at once, while operators run one after another.

    While an operator runs, its input, its output and what `held` says must be alive; the peak is
    the largest such sum over the candidate's operators. Buffers of the runtime's own kernels and
    in-place reuse are not modelled.
    """
    peak = np.zeros(sheet.candidates)
    for row in sheet.rows:
        alive = row["active"] * _FLOAT_BYTES * (_activations(row) + row["held"])
        np.maximum(peak, alive, out=peak)
    return peak


def _total(
    sheet: OperatorSheet, term: Callable[[Operator], Cells | float], group: str | None = None
) -> Cells:
    total = np.zeros(sheet.candidates)
    for row in sheet.rows:
        if group is None or row.group == group:
            total += row["active"] * term(row)
    return total


def _weights(row: Operator) -> Cells | float:
    return KINDS[row.kind].weights(row)


def _activations(row: Operator) -> Cells | float:
    return KINDS[row.kind].read(row) + KINDS[row.kind].written(row)


def _expected_macs(row: Operator) -> Cells | float:
    return row["probability"] * KINDS[row.kind].macs(row)


def _stored_bytes(row: Operator) -> Cells | float:
    bits = _weights(row) * row["density"] * row["weight_bits"]
    return (bits + KINDS[row.kind].biases(row) * _FLOAT_BITS) / 8


def _touched_bytes(row: Operator) -> Cells | float:
    looked_up = KINDS[row.kind].written(row) * row["weight_bits"] / 8
    stored = looked_up if row.kind == "table" else _stored_bytes(row)
    return row["probability"] * (stored + _FLOAT_BYTES * _activations(row))
