"""Latency of any candidate from its operator sheet, fitted to a few measured ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.cost.kinds import KINDS
from stillhouse.core.cost.sheet import Cells, OperatorSheet
from stillhouse.core.cost.terms import operators
from stillhouse.core.errors import UserError

Array = NDArray[np.float64]

LEAST_MEASURED: Final = 5
"""Fewer measured candidates than this cannot be fitted and checked."""

_FOLDS: Final = 10
_RIDGE: Final = 1e-5
_MARGIN_QUANTILE: Final = 0.9


@dataclass(frozen=True)
class FitReport:
    """How well measured candidates are predicted from the others (10-fold cross-validation).

    mape: mean absolute error relative to the measured latency. spearman: correlation of ranks.
    within_10_percent: share of candidates whose error is at most 10 %.
    """

    measured: int
    mape: float
    spearman: float
    within_10_percent: float


@final
@dataclass(frozen=True, eq=False)
class LatencyModel:
    """Milliseconds as a sum of parts, none of them negative.

    A constant, a price for each operator that runs, and for each multiply-accumulate a price that
    depends on the operator's kind.

    `margin` is how far, relative to the prediction, a measured latency may lie above it in nine
    of ten cases (0 when predictions err on the safe side).
    """

    coefficients: Mapping[str, float]
    margin: float
    report: FitReport

    @staticmethod
    def fit(sheet: OperatorSheet, measured_ms: Array) -> LatencyModel:
        """Fit to the measured latencies (candidates,) of the sheet's candidates.

        Non-negative least squares on relative errors, with a ridge that only decides between
        features which the candidates cannot tell apart. Raises `UserError` for fewer than five
        candidates and ValueError for latencies that are not positive numbers.
        """
        measured = _checked(sheet, measured_ms)
        columns = _features(sheet)
        names, matrix = list(columns), np.stack(list(columns.values()), axis=1)
        predicted = _cross_validated(matrix, measured)
        under = measured / predicted - 1
        return LatencyModel(
            dict(zip(names, _solved(matrix, measured).tolist(), strict=True)),
            max(0.0, float(np.quantile(under, _MARGIN_QUANTILE))),
            _report(predicted, measured),
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
            "coefficients": dict(self.coefficients),
            "margin": self.margin,
            "report": asdict(self.report),
        }

    @staticmethod
    def from_json(raw: Mapping[str, Any]) -> LatencyModel:
        """Raises KeyError or TypeError on foreign content."""
        return LatencyModel(
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


def _report(predicted: Array, measured: Array) -> FitReport:
    error = np.abs(predicted / measured - 1)
    return FitReport(
        measured=len(measured),
        mape=float(error.mean()),
        spearman=spearman(predicted, measured),
        within_10_percent=float((error <= 0.1).mean()),
    )


def spearman(a: Array, b: Array) -> float:
    """Correlation of ranks, ties sharing their mean rank; 0 where one side is constant."""
    ranks = np.stack([_ranks(a), _ranks(b)])
    centred = ranks - ranks.mean(axis=1, keepdims=True)
    size = np.sqrt((centred**2).sum(axis=1).prod())
    return float(centred.prod(axis=0).sum() / size) if size else 0.0


def _ranks(values: Array) -> Array:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    mean_rank: Array = np.cumsum(counts) - (counts - 1) / 2
    return mean_rank[inverse]
