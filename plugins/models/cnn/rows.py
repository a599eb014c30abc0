"""What the rows of a convolutional network's sheet are made of: sizes by stage and block."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.cost.sheet import Cells, Operator, OperatorKind
from stillhouse.core.elastic import check_slice
from stillhouse.plugins.models.cnn.genes import gene
from stillhouse.plugins.models.cnn.structure import block_base, hidden_width, sizes, stage_width

Full = Mapping[str, Any]
Array = NDArray[np.float64]
_CONV: Final[Mapping[int, OperatorKind]] = {1: "conv1d", 2: "conv2d"}


@final
@dataclass(frozen=True, eq=False)
class GeneColumns:
    """Columns, and the full network's value where there is none."""

    full: Full
    values: Mapping[str, Any]
    columns: Mapping[str, NDArray[Any]]
    candidates: int

    def column(self, name: str) -> Array:
        """(candidates,)."""
        values = np.asarray(self.columns.get(name, self.values[name]), np.float64)
        return np.broadcast_to(values, (self.candidates,)) if values.ndim == 0 else values

    def depth(self, stage: int) -> Array:
        return self.column(gene("depth", stage))

    def width(self, stage: int) -> Array:
        """Channels that a stage gives, (candidates,)."""
        found: Array = stage_width(self.full, stage, self.column("width"))
        return found

    def of_block(self, kind: str, stage: int, place: int) -> Array:
        """A block gene, (candidates,); 0 where there is no such block."""
        name = gene(kind, stage)
        values = np.asarray(self.columns.get(name, self.values[name]), np.float64)
        if name in self.columns and values.ndim == 1:
            return values
        if name not in self.columns:
            check_slice("cnn", **{gene("depth", stage): (place + 1, self.full["depth"][stage])})
        found = np.nan_to_num(values[..., place])
        return np.broadcast_to(found, (self.candidates,))

    def hidden(self, stage: int, place: int) -> Array:
        base = block_base(self.full, stage, place, self.column("width"))
        found: Array = hidden_width(self.of_block("expand", stage, place), base)
        return found

    def positions(self, stage: int) -> int:
        """Positions that a stage's blocks give; kernels are odd, so that only strides count."""
        lengths = sizes(self.full)
        for step in self.full["strides"][: stage + 1]:
            lengths = [(length - 1) // step + 1 for length in lengths]
        return math.prod(lengths)


@final
@dataclass(frozen=True, eq=False)
class Rows:
    """What the rows of one block have in common."""

    genes: GeneColumns
    name: str
    group: str
    active: Cells | float

    def conv(
        self,
        part: str,
        inputs: Cells | float,
        outputs: Cells,
        kernel: Cells | float,
        read: int,
        written: int,
        held: Cells | float = 0.0,
        *,
        depthwise: bool = False,
    ) -> Operator:
        dimensions = self.genes.full["dimensions"]
        cells: dict[str, Cells | float] = {
            "active": self.active,
            "inputs": inputs,
            "outputs": outputs,
            "kernel": kernel**dimensions,
            "groups": outputs if depthwise else 1,
            "positions": written,
            "held": held,
        }
        if read != written:
            cells["read_positions"] = read
        return Operator(self._named(part), _CONV[dimensions], self.group, cells)

    def norm(self, part: str, width: Cells, positions: int, held: Cells | float = 0.0) -> Operator:
        return Operator(self._named(part), "norm", "norm", self._over(width, positions, held, 1))

    def relu(self, part: str, width: Cells, positions: int, held: Cells | float = 0.0) -> Operator:
        cells = self._over(width, positions, held, 0)
        return Operator(f"{self._named(part)}.relu", "elementwise", "elementwise", cells)

    def add(self, width: Cells, positions: int) -> Operator:
        cells = {**self._over(width, positions, 0.0, 0), "read_positions": 2 * positions}
        return Operator(self._named("add"), "elementwise", "elementwise", cells)

    def _over(
        self, width: Cells, positions: int, held: Cells | float, bias: int
    ) -> dict[str, Cells | float]:
        return {
            "active": self.active,
            "outputs": width,
            "positions": positions,
            "held": held,
            "bias": bias,
        }

    def _named(self, part: str) -> str:
        return f"{self.name}.{part}" if self.name else part
