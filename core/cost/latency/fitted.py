"""Latency of any candidate from its operator sheet, fitted to a few measured ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, final

import numpy as np

from stillhouse.core.cost.kinds import KINDS
from stillhouse.core.cost.latency.contract import Array, FitReport, LatencyModel
from stillhouse.core.cost.latency.judging import judged, margin_over
from stillhouse.core.cost.sheet import Cells, OperatorSheet
from stillhouse.core.cost.terms import operators
from stillhouse.core.errors import UserError

LEAST_MEASURED: Final = 5
"""Fewer measured candidates than this cannot be fitted and checked."""

_FOLDS: Final = 10
_RIDGE: Final = 1e-5


@final
@dataclass(frozen=True, eq=False)
class FittedLatency(LatencyModel):
    """Milliseconds as a sum of parts, none of them negative.

    A constant, a price for each operator that runs, and for each multiply-accumulate a price that
    depends on the operator's kind.
    """

    kind = "fitted"
    coefficients: Mapping[str, float]
    margin: float
    report: FitReport

    @staticmethod
    def fit(sheet: OperatorSheet, measured_ms: Array) -> FittedLatency:
        """Fit to the measured latencies (candidates,) of the sheet's candidates.

        Non-negative least squares on relative errors, with a ridge that only decides between
        features which the candidates cannot tell apart. Raises `UserError` for fewer than five
        candidates and ValueError for latencies that are not positive numbers.
        """
        measured = _checked(sheet, measured_ms)
        columns = _features(sheet)
        names, matrix = list(columns), np.stack(list(columns.values()), axis=1)
        predicted = _cross_validated(matrix, measured)
        return FittedLatency(
            dict(zip(names, _solved(matrix, measured).tolist(), strict=True)),
            margin_over(predicted, measured),
            judged(predicted, measured),
        )

    def predict(self, sheet: OperatorSheet) -> Array:
        """Milliseconds, (candidates,).

        Raises ValueError when the sheet has arithmetic of a kind that was never measured.
        """
        columns = _features(sheet)
        unknown = [name for name in columns if name not in self.coefficients]
        if unknown:
            raise ValueError(f"the latency model was fitted without {', '.join(unknown)}; refit it")
        total = np.zeros(sheet.candidates)
        for name, column in columns.items():
            total += self.coefficients[name] * column
        return total

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "coefficients": dict(self.coefficients),
            "margin": self.margin,
            "report": asdict(self.report),
        }

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> FittedLatency:
        """Raises KeyError or TypeError on foreign content."""
        return FittedLatency(
            dict(raw["coefficients"]), float(raw["margin"]), FitReport(**raw["report"])
        )


def _checked(sheet: OperatorSheet, measured_ms: Array) -> Array:
    measured = np.asarray(measured_ms, np.float64)
    if measured.shape != (sheet.candidates,) or not (np.isfinite(measured) & (measured > 0)).all():
        raise ValueError(
            f"expected {sheet.candidates} positive latencies, came shape {measured.shape}, "
            f"lowest {measured.min(initial=np.inf)}"
        )
    if len(measured) < LEAST_MEASURED:
        raise UserError(
            f"a latency model needs at least {LEAST_MEASURED} measured candidates, there are "
            f"{len(measured)}; raise target.profile"
        )
    return measured


def _features(sheet: OperatorSheet) -> dict[str, Cells]:
    """Constant, operators, and multiply-accumulates by kind; each (candidates,)."""
    features = {"constant": np.ones(sheet.candidates), "operators": operators(sheet)}
    for row in sheet.rows:
        count = row["active"] * row["probability"] * KINDS[row.kind].macs(row)
        if np.any(count):
            name = f"macs {row.kind}"
            features[name] = features.get(name, np.zeros(sheet.candidates)) + count
    return features


def _solved(matrix: Array, measured: Array) -> Array:
    """Coefficients >= 0 of the features, (features,)."""
    from scipy.optimize import nnls

    scale = np.maximum(matrix.max(axis=0), np.finfo(np.float64).tiny)
    relative = matrix / scale / measured[:, None]
    ridge = np.sqrt(_RIDGE * len(measured)) * np.eye(matrix.shape[1])
    wanted = np.concatenate([np.ones(len(measured)), np.zeros(matrix.shape[1])])
    solution, _ = nnls(np.vstack([relative, ridge]), wanted)
    coefficients: Array = solution / scale
    return coefficients


def _cross_validated(matrix: Array, measured: Array) -> Array:
    """Each latency predicted without its own fold; folds take every tenth in order of size."""
    fold = np.empty(len(measured), np.int64)
    fold[np.argsort(measured, kind="stable")] = np.arange(len(measured)) % _FOLDS
    predicted = np.empty(len(measured))
    for held_out in np.unique(fold):
        inside, outside = fold != held_out, fold == held_out
        predicted[outside] = matrix[outside] @ _solved(matrix[inside], measured[inside])
    return np.maximum(predicted, np.finfo(np.float64).tiny)
