"""The operator sheet: one row an operator, in each cell an array over candidates.

Every cost reads the sheet and nothing else. A model family (or the supernet method) writes its
rows from the genes; pruning shrinks shapes, quantisation sets bits, early exit sets
probabilities, split computing sets places.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

Cells = NDArray[np.float64]
"""Shape (candidates,)."""

OperatorKind = Literal[
    "linear",
    "conv1d",
    "conv2d",
    "matmul",
    "norm",
    "table",
    "elementwise",
    "recurrent",
    "transfer",
]

GROUPS: Final = (
    "front_end",
    "embedding",
    "convolution",
    "recurrent",
    "attention_projections",
    "attention_scores",
    "feed_forward",
    "linear",
    "norm",
    "elementwise",
    "head",
    "transfer",
)
"""What rows are for, the same words in every family. Rows counted from a network that no sheet
describes are only known as "linear" and "elementwise" where their module does not tell more.
"""

COLUMNS: Final = (
    "active",
    "inputs",
    "outputs",
    "positions",
    "kernel",
    "groups",
    "bias",
    "held",
    "read_positions",
    "shared",
    "fixed",
    "weight_bits",
    "activation_bits",
    "dynamic_scale",
    "kept_bits",
    "scales",
    "packed",
    "density",
    "probability",
    "place",
)
_DEFAULTS: Final[Mapping[str, float]] = {
    "active": 1, "inputs": 0, "outputs": 0, "positions": 1, "kernel": 1, "groups": 1,
    "bias": 0, "held": 0, "read_positions": 0, "shared": 0, "fixed": 0,
    "weight_bits": 32, "activation_bits": 32, "dynamic_scale": 0, "kept_bits": 0, "scales": 0,
    "packed": 0, "density": 1, "probability": 1, "place": 0,
}  # fmt: skip


_CHOSEN: Final = COLUMNS[COLUMNS.index("weight_bits") :]


@dataclass(frozen=True, eq=False)
class Operator:
    """One row. Cells are arrays over candidates, or plain numbers that hold for all of them.

    active: 1 where the candidate has this operator, else 0.
    inputs, outputs: features per position (norm and elementwise: outputs is the width).
    positions: how often the weights are applied per inference (frames).
    kernel, groups: convolution (conv2d: kernel and positions are products over the dimensions); for
        `matmul` (both operands are activations, per inference `groups` products of (positions x
        inputs) by (inputs x outputs)) groups is the heads.
    bias: 1 with bias.  table: `inputs` entries of width `outputs` that are stored, no arithmetic;
        `positions` of them are looked up, 0 where another row reads the table as its operand.
        recurrent: `groups` gates, `kernel` unused.  transfer: (positions x outputs) activations
        sent from one place to another.
    held: activation elements alive beside this operator's own input and output (residuals).
    read_positions: positions read where they are not the output's: before a stride or a pooling,
        of both operands of a sum; 0: equal.
    shared: 1 where the weights and biases are stored with another row (tied embeddings).
    fixed: 1 where they are constants that no training changes (a Fourier matrix, running
        statistics): stored and multiplied like any other, but no parameters.
    weight_bits, activation_bits: of one entry.  packed: 1 where rows of weights are packed to whole
        bytes; else an entry takes the smallest of 8, 16, 32 and 64 bits that holds it.
    dynamic_scale: 1 where every inference finds the scale that activations are rounded by.
    kept_bits: of one activation between this operator and others, where it is rounded inside the
        operator alone; 0: as `activation_bits`.
    scales: numbers of 32 bits that are stored to read rounded weights by, for the whole operator.
    density: share of the weights that are not zero. Below 1, what is stored is those and a bit for
        every weight, or all of them where that is less.
    probability (that a sample reaches it), place (0 the device, 1 a server): set by methods.
    """

    name: str
    kind: OperatorKind
    group: str
    cells: Mapping[str, Cells | float] = field(default_factory=dict)

    def __getitem__(self, column: str) -> Cells | float:
        return self.cells.get(column, _DEFAULTS[column])


@dataclass(frozen=True, eq=False)
class OperatorSheet:
    """Rows over `candidates` candidates; immutable, methods return changed copies."""

    candidates: int
    rows: tuple[Operator, ...] = ()

    def column(self, name: str) -> NDArray[np.float64]:
        """One column of every row, shape (rows, candidates)."""
        out = np.empty((len(self.rows), self.candidates))
        for i, row in enumerate(self.rows):
            out[i] = row[name]
        return out

    def take(self, which: NDArray[np.int64] | slice) -> OperatorSheet:
        """The sheet of some of the candidates, in the order of `which` (indices or a slice)."""
        rows = []
        for row in self.rows:
            cells = {n: v[which] if isinstance(v, np.ndarray) else v for n, v in row.cells.items()}
            rows.append(replace(row, cells=cells))
        return OperatorSheet(len(np.arange(self.candidates)[which]), tuple(rows))

    def with_rows(self, *rows: Operator) -> OperatorSheet:
        return replace(self, rows=(*self.rows, *rows))

    def map(
        self, change: Callable[[Operator], Mapping[str, Cells | float] | None]
    ) -> OperatorSheet:
        """A copy in which `change(row)` replaces cells of the rows it returns a mapping for."""
        rows = []
        for row in self.rows:
            cells = change(row)
            rows.append(replace(row, cells={**row.cells, **cells}) if cells else row)
        return replace(self, rows=tuple(rows))


def chosen(sheet: OperatorSheet) -> list[str]:
    """The columns that a method set, of those which a network alone does not show."""
    plain = Operator("", "linear", "")
    return [
        name
        for name in _CHOSEN
        if any(np.any(np.not_equal(row[name], plain[name])) for row in sheet.rows)
    ]
