"""Latency of any candidate from its operator sheet, fitted to a few measured ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, final

import numpy as np

from stillhouse.core.cost.latency.contract import Array, FitReport, LatencyModel
from stillhouse.core.cost.latency.features import features, matrix
from stillhouse.core.cost.latency.judging import checked, cross_validated, judged, margin_over
from stillhouse.core.cost.latency.regression import dispersion, ease, prices, relative
from stillhouse.core.cost.sheet import OperatorSheet
from stillhouse.core.errors import UserError

LEAST_MEASURED: Final = 5
"""Fewer measured candidates than this cannot be fitted and checked."""


@final
@dataclass(frozen=True, eq=False)
class FittedLatency(LatencyModel):
    """Milliseconds as a sum of parts, none of them negative: so much for each unit of work.

    coefficients: milliseconds by feature, see `features`. noise: what a measurement differs from
    its prediction by, root mean square, relative. covariance: of the coefficients, in their order.
    """

    kind = "fitted"
    coefficients: Mapping[str, float]
    margin: float
    report: FitReport
    noise: float
    covariance: Array

    @staticmethod
    def fit(sheet: OperatorSheet, measured_ms: Array) -> FittedLatency:
        """Fit to the measured latencies (candidates,) of the sheet's candidates.

        Non-negative least squares on relative errors, with a ridge that only decides between
        features which the candidates cannot tell apart. Report, margin and noise are
        cross-validated, the latter two with errors at the ends of the range weighed down, which
        are large only while the ends are held out. Raises `UserError` for fewer than five
        candidates and ValueError for latencies that are not positive numbers.
        """
        measured = enough(checked(sheet, measured_ms))
        columns = features(sheet)
        work = matrix(columns)
        predicted = cross_validated(
            measured, lambda seen, unseen: work[unseen] @ prices(work[seen], measured[seen])
        )
        found = prices(work, measured)
        weight = ease(relative(work, measured))
        noise = float(np.sqrt(np.mean(((measured / predicted - 1) * weight) ** 2)))
        return FittedLatency(
            dict(zip(columns, found.tolist(), strict=True)),
            margin_over(predicted, measured, weight=weight),
            judged(predicted, measured),
            noise,
            noise**2 * dispersion(work, measured),
        )

    def predict(self, sheet: OperatorSheet) -> Array:
        """Milliseconds, (candidates,).

        Raises ValueError when the sheet has arithmetic of a kind that was never measured.
        """
        columns = features(sheet)
        self._check(columns)
        total = np.zeros(sheet.candidates)
        for name, column in columns.items():
            total += self.coefficients[name] * column
        return total

    def predict_with_doubt(self, sheet: OperatorSheet) -> tuple[Array, Array]:
        """Milliseconds and their standard deviations, each (candidates,).

        The deviation is of a new measurement: noise, and what the coefficients are uncertain by
        (Bishop 2006, equation 3.59), so it grows with the distance from what was measured. Raises
        ValueError as `predict` does.
        """
        columns = features(sheet)
        self._check(columns)
        work, known = matrix(columns), list(self.coefficients)
        places = [known.index(name) for name in columns]
        predicted = work @ np.array([self.coefficients[name] for name in columns])
        covariance = self.covariance[np.ix_(places, places)]
        spread = ((work @ covariance) * work).sum(axis=1)
        return predicted, np.sqrt((self.noise * predicted) ** 2 + np.maximum(spread, 0.0))

    def _check(self, columns: Mapping[str, Any]) -> None:
        unknown = [name for name in columns if name not in self.coefficients]
        if unknown:
            raise ValueError(f"the latency model was fitted without {', '.join(unknown)}; refit it")

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "coefficients": dict(self.coefficients),
            "margin": self.margin,
            "report": asdict(self.report),
            "noise": self.noise,
            "covariance": self.covariance.tolist(),
        }

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> FittedLatency:
        """Raises KeyError, TypeError or ValueError on foreign content."""
        coefficients = {name: float(ms) for name, ms in dict(raw["coefficients"]).items()}
        covariance = np.array(raw["covariance"], np.float64)
        if covariance.shape != (len(coefficients),) * 2:
            raise ValueError(f"covariance: expected {len(coefficients)} rows and columns")
        margin, report = float(raw["margin"]), FitReport.from_json(raw["report"])
        return FittedLatency(coefficients, margin, report, float(raw["noise"]), covariance)


def enough(measured: Array) -> Array:
    """The same latencies. Raises `UserError` where they are too few to fit and check a model."""
    if len(measured) < LEAST_MEASURED:
        raise UserError(
            f"a latency model needs at least {LEAST_MEASURED} measured candidates, there are "
            f"{len(measured)}; raise target.profile"
        )
    return measured
