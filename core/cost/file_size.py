"""Size of the exported file of any candidate: its weights, and what the container adds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.cost.kinds import times
from stillhouse.core.cost.latency.shapes import layouts
from stillhouse.core.cost.row_costs import RowCosts
from stillhouse.core.cost.sheet import Cells, OperatorSheet
from stillhouse.core.cost.terms import weight_bytes

_ENTRIES: Final = "norm_entries"


@final
@dataclass(frozen=True, eq=False)
class SizeModel:
    """Bytes as the weights' own, exactly, plus a constant, plus so many for each operator.

    And so many for each entry of a norm: a batch norm's scale is folded into the weights before it,
    or its running statistics are written beside it. `residual_bytes` is the largest error on the
    files it was fitted to.
    """

    coefficients: Mapping[str, float]
    residual_bytes: float

    @staticmethod
    def fit(sheet: OperatorSheet, size_bytes: NDArray[np.float64]) -> SizeModel:
        """Fit the overhead to the measured file sizes (candidates,) by least squares."""
        columns = _features(sheet)
        matrix = np.stack(list(columns.values()), axis=1)
        overhead = np.asarray(size_bytes, np.float64) - weight_bytes(sheet)
        solution = np.linalg.lstsq(matrix, overhead, rcond=None)[0]
        residual = float(np.abs(matrix @ solution - overhead).max(initial=0.0))
        return SizeModel(dict(zip(columns, solution.tolist(), strict=True)), residual)

    def predict(self, sheet: OperatorSheet) -> NDArray[np.float64]:
        """Bytes, (candidates,). Operators of a kind that was never measured add nothing."""
        total = weight_bytes(sheet)
        for name, column in _features(sheet).items():
            total = total + self.coefficients.get(name, 0.0) * column
        return total

    def to_json(self) -> dict[str, Any]:
        return {"coefficients": dict(self.coefficients), "residual_bytes": self.residual_bytes}

    @staticmethod
    def from_json(raw: Mapping[str, Any]) -> SizeModel:
        """Raises KeyError, TypeError or ValueError on foreign content."""
        coefficients = {name: float(value) for name, value in dict(raw["coefficients"]).items()}
        return SizeModel(coefficients, float(raw["residual_bytes"]))


def _features(sheet: OperatorSheet) -> dict[str, Cells]:
    """A constant and the operators of each kind and bits, also those that are never run."""
    features: dict[str, Cells] = {"constant": np.ones(sheet.candidates)}
    nothing = np.zeros(sheet.candidates)
    for row in sheet.rows:
        for name, share in layouts(row):
            features[name] = features.get(name, nothing) + times(row["active"], share)
        if row.kind == "norm":
            entries = row["active"] * RowCosts(row).parameters
            features[_ENTRIES] = features.get(_ENTRIES, nothing) + entries
    return features
