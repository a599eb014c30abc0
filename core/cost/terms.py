"""Costs read off an operator sheet, for all candidates at once; each is (candidates,) float64.

What depends on running (MACs, operators, bytes touched or sent) is an expected value: a row counts
with the probability that a sample reaches it. What is stored or must fit (parameters, weight
bytes, peak activations) does not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np

from stillhouse.core.cost.kinds import times
from stillhouse.core.cost.row_costs import RowCosts, Value
from stillhouse.core.cost.sheet import Cells, OperatorSheet

_PEAK: Final = "peak_activation_bytes"
_SUMMED: Final[Mapping[str, Callable[[RowCosts], Value]]] = {
    "parameters": lambda row: row.parameters,
    "weight_bytes": lambda row: row.weight_bytes,
    "macs": lambda row: row.macs,
    "operators": lambda row: row.operators,
    "bytes_touched": lambda row: row.touched_bytes,
    "transferred_bytes": lambda row: row.sent_bytes,
}
NAMES: Final = (*_SUMMED, _PEAK)


def totals(sheet: OperatorSheet, names: Sequence[str] = NAMES) -> dict[str, Cells]:
    """Several terms in one pass over the rows: cheaper than one after another.

    `names` are those of the functions below, save the splits. KeyError for another one.
    """
    found = {name: np.zeros(sheet.candidates) for name in names}
    for row in sheet.rows:
        costs = RowCosts(row)
        for name, total in found.items():
            if name == _PEAK:
                np.maximum(total, times(costs.alive_bytes, row["active"]), out=total)
            else:
                _add(total, _SUMMED[name](costs), row["active"])
    return found


def parameters(sheet: OperatorSheet) -> Cells:
    """Stored weights and biases, zeros included: the sum of `numel` of the plain network.

    Constants that no training changes are none, see `fixed` in the sheet.
    """
    return totals(sheet, ("parameters",))["parameters"]


def parameters_by_group(sheet: OperatorSheet) -> dict[str, Cells]:
    """`parameters` split by the rows' groups, in the order the groups first appear."""
    return _by_group(sheet, _SUMMED["parameters"])


def weight_bytes(sheet: OperatorSheet) -> Cells:
    """Bytes of the stored tensors; no file overhead.

    Weights take their bits, see `packed` and `density` in the sheet; biases are as wide as the
    weights, and 32 bits beside weights of at most 8. The scales of rounded weights come besides.
    """
    return totals(sheet, ("weight_bytes",))["weight_bytes"]


def macs(sheet: OperatorSheet) -> Cells:
    """Expected multiply-accumulates of one inference; sparse weights count as dense."""
    return totals(sheet, ("macs",))["macs"]


def macs_by_group(sheet: OperatorSheet) -> dict[str, Cells]:
    """`macs` split by the rows' groups, in the order the groups first appear."""
    return _by_group(sheet, _SUMMED["macs"])


def macs_by_bits(sheet: OperatorSheet) -> dict[int, Cells]:
    """`macs` split by the width of the wider operand, in ascending order of bits.

    An operand has the row's `weight_bits` or `activation_bits`; of a product of activations only
    the latter. Rows whose bits differ between candidates are split.
    """
    found: dict[int, Cells] = {}
    for row in sheet.rows:
        costs = RowCosts(row)
        count = times(costs.macs, row["active"])
        if np.any(count):
            for bits in np.unique(costs.bits).tolist():
                total = found.setdefault(int(bits), np.zeros(sheet.candidates))
                total += times(count, np.equal(costs.bits, bits) * 1.0)
    return dict(sorted(found.items()))


def operators(sheet: OperatorSheet) -> Cells:
    """Expected number of operators that one inference runs.

    A table that another row reads is none, and neither is a transfer.
    """
    return totals(sheet, ("operators",))["operators"]


def bytes_touched(sheet: OperatorSheet) -> Cells:
    """Expected bytes one inference reads and writes, were nothing cached between operators.

    Weights and biases once, activations at every operator; of a table only the entries looked up.
    """
    return totals(sheet, ("bytes_touched",))["bytes_touched"]


def transferred_bytes(sheet: OperatorSheet) -> Cells:
    """Expected bytes of activations that one inference sends from one place to another."""
    return totals(sheet, ("transferred_bytes",))["transferred_bytes"]


def peak_activation_bytes(sheet: OperatorSheet) -> Cells:
    """Most bytes of activations alive at once, while operators run one after another.

    While an operator runs, its inputs, its output and what `held` says must be alive; the peak is
    the largest such sum over the candidate's operators. A tensor lives until its last reader has
    run, views keep the whole tensor alive, and the network's input counts like any other. Buffers
    inside the runtime's own kernels and in-place reuse are not modelled.
    """
    return totals(sheet, (_PEAK,))[_PEAK]


def _by_group(sheet: OperatorSheet, term: Callable[[RowCosts], Value]) -> dict[str, Cells]:
    found = {row.group: np.zeros(sheet.candidates) for row in sheet.rows}
    for row in sheet.rows:
        _add(found[row.group], term(RowCosts(row)), row["active"])
    return found


def _add(total: Cells, value: Value, active: Value) -> None:
    """Add in place, without a pass over the candidates for the number 0."""
    if np.ndim(value) or value:
        total += times(value, active)
