"""What one row of the operator sheet costs, each formula worked out at most once."""

from __future__ import annotations

from functools import cached_property
from typing import Final, final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.cost.kinds import KINDS, times
from stillhouse.core.cost.sheet import Cells, Operator

Value = Cells | float

_CONTAINERS: Final[NDArray[np.float64]] = np.array([0.0, 8, 16, 32, 64])
"""Bits that one entry can take when entries are not packed."""
_INTEGER_BITS: Final = 8
_ACCUMULATOR_BITS: Final = 32
_SCALE_BYTES: Final = 4


@final
class RowCosts:
    """Costs of a row where it is active: (candidates,), or a number that holds for all of them.

    Those of running (`macs`, `operators`, `touched_bytes`, `sent_bytes`) are expected values.
    """

    def __init__(self, row: Operator) -> None:
        self._row, self._formulas = row, KINDS[row.kind]

    @cached_property
    def parameters(self) -> Value:
        own = times(self._weights + self._biases, self._own)
        return times(own, 1 - self._row["fixed"])

    @cached_property
    def weight_bytes(self) -> Value:
        return times(self._stored_bytes, self._own)

    @cached_property
    def macs(self) -> Value:
        row, formulas = self._row, self._formulas
        plain = row["positions"] * self._weights if not formulas.products else formulas.macs(row)
        return times(plain, row["probability"])

    @cached_property
    def operators(self) -> Value:
        """1 times its probability; tables that another row reads and transfers are no operators."""
        if self._row.kind == "transfer":
            return 0.0
        ran: Value = np.not_equal(self._row["positions"], 0) * 1.0
        return times(ran, self._row["probability"])

    @cached_property
    def touched_bytes(self) -> Value:
        table = self._row.kind == "table"
        stored = self._looked_up_bytes if table else self._stored_bytes
        return times(stored + self.activation_bytes, self._row["probability"])

    @cached_property
    def sent_bytes(self) -> Value:
        row = self._row
        if row.kind != "transfer":
            return 0.0
        sent = row["positions"] * row["outputs"] * (row["activation_bits"] / 8)
        return times(sent, row["probability"])

    @cached_property
    def alive_bytes(self) -> Value:
        """Activations alive while it runs."""
        return (self._activations + self._row["held"]) * (self.kept_bits / 8)

    @cached_property
    def activation_bytes(self) -> Value:
        """Read and written, whether the sample reaches it or not."""
        return self._activations * (self.kept_bits / 8)

    @cached_property
    def bits(self) -> Value:
        """Of the wider operand; a product of activations has no weights."""
        if self._row.kind == "matmul":
            return self._row["activation_bits"]
        bits: Value = np.maximum(self._row["weight_bits"], self._row["activation_bits"])
        return bits

    @cached_property
    def _own(self) -> Value:
        return 1 - self._row["shared"]

    @cached_property
    def _weights(self) -> Value:
        return self._formulas.weights(self._row)

    @cached_property
    def _biases(self) -> Value:
        return self._formulas.biases(self._row)

    @cached_property
    def _activations(self) -> Value:
        return self._formulas.read(self._row) + self._formulas.written(self._row)

    @cached_property
    def kept_bits(self) -> Value:
        """Of one activation between operators."""
        kept, bits = self._row["kept_bits"], self._row["activation_bits"]
        if np.ndim(kept) == 0 and kept == 0:
            return bits
        found: Value = np.where(kept, kept, bits)
        return found

    @cached_property
    def _container(self) -> Value:
        """Bits an entry takes when entries are not packed."""
        found: Value = _CONTAINERS[np.searchsorted(_CONTAINERS, self._row["weight_bits"])]
        return found

    @cached_property
    def _stored_bytes(self) -> Value:
        wide = self._container
        bias_bits = np.where(np.less_equal(wide, _INTEGER_BITS), _ACCUMULATOR_BITS, wide)
        whole = self._weights * (wide / 8)
        if np.any(np.less(self._row["density"], 1)):
            whole = np.minimum(whole, self._sparse_bytes)
        if np.any(self._row["packed"]):
            matrices = self._formulas.matrices(self._row)
            packed = sum(rows * self._packed_bytes(entries) for rows, entries in matrices)
            whole = np.where(self._row["packed"], packed, whole)
        return whole + self._biases * (bias_bits / 8) + self._row["scales"] * _SCALE_BYTES

    @cached_property
    def _sparse_bytes(self) -> Value:
        """Entries that are not zero, and a bit for every entry that says which they are."""
        entries = np.rint(times(self._weights, self._row["density"]))
        stored: Value = entries * (self._container / 8) + self._weights / 8
        return stored

    @cached_property
    def _looked_up_bytes(self) -> Value:
        width = self._row["outputs"]
        entry = width * (self._container / 8)
        if np.any(self._row["packed"]):
            entry = np.where(self._row["packed"], self._packed_bytes(width), entry)
        return self._row["positions"] * entry

    def _packed_bytes(self, entries: Value) -> Value:
        """A row of a matrix, padded to whole bytes."""
        size: Value = np.ceil(entries * self._row["density"] * self._row["weight_bits"] / 8)
        return size
