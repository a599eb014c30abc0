"""Peak resident memory of any candidate's artefact, fitted to a few measured ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.cost.latency.judging import margin_over
from stillhouse.core.cost.sheet import OperatorSheet
from stillhouse.core.cost.terms import peak_activation_bytes, weight_bytes

Array = NDArray[np.float64]

NAME: Final = "resident_kb"
LEAST: Final = 5
"""Fewer measured artefacts than this cannot be fitted and checked."""


@final
@dataclass(frozen=True, eq=False)
class ResidentModel:
    """Bytes as a constant, so much for each byte of weights and so much for each of activations.

    `margin` is by how much, relative, a measurement may lie above; see `LatencyModel.margin`.
    """

    coefficients: Mapping[str, float]
    margin: float

    @staticmethod
    def fit(sheet: OperatorSheet, resident_bytes: Array) -> ResidentModel:
        """Fit to measured peaks (candidates,), at least five, without negative coefficients.

        The margin is from each candidate predicted without itself.
        """
        if len(resident_bytes) < LEAST:
            raise ValueError(f"expected at least {LEAST} measured, got {len(resident_bytes)}")
        columns = _features(sheet)
        matrix = np.stack(list(columns.values()), axis=1)
        held = [
            matrix[i] @ _solved(np.delete(matrix, i, 0), np.delete(resident_bytes, i))
            for i in range(len(matrix))
        ]
        solution = _solved(matrix, resident_bytes)
        named = dict(zip(columns, solution.tolist(), strict=True))
        return ResidentModel(named, margin_over(np.array(held), resident_bytes))

    def predict(self, sheet: OperatorSheet) -> Array:
        """Bytes, (candidates,)."""
        columns = _features(sheet)
        parts = [self.coefficients[name] * column for name, column in columns.items()]
        return np.asarray(np.sum(parts, axis=0))

    def to_json(self) -> dict[str, Any]:
        return {"coefficients": dict(self.coefficients), "margin": self.margin}

    @staticmethod
    def from_json(raw: Mapping[str, Any]) -> ResidentModel:
        """Raises KeyError, TypeError or ValueError on foreign content."""
        coefficients = {name: float(value) for name, value in dict(raw["coefficients"]).items()}
        return ResidentModel(coefficients, float(raw["margin"]))


def _features(sheet: OperatorSheet) -> dict[str, Array]:
    return {
        "constant": np.ones(sheet.candidates),
        "weight_bytes": weight_bytes(sheet),
        "activation_bytes": peak_activation_bytes(sheet),
    }


def _solved(matrix: Array, measured: Array) -> Array:
    """Coefficients >= 0 with the least relative errors."""
    from scipy.optimize import nnls

    scale = np.maximum(matrix.max(axis=0), np.finfo(np.float64).tiny)
    solution, _ = nnls(matrix / scale / measured[:, None], np.ones(len(measured)))
    return np.asarray(solution / scale)
