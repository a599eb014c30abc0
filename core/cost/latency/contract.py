"""What every latency model is: milliseconds of any candidate from its operator sheet alone."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Self, cast

from stillhouse.core.cost.latency.judging import Array as Array
from stillhouse.core.cost.latency.judging import FitReport as FitReport
from stillhouse.core.cost.latency.judging import checked, judged, margin_over
from stillhouse.core.cost.sheet import OperatorSheet


class LatencyModel(ABC):
    """Predicts, says how well it does, and by how much a measurement may lie above.

    Every model is a frozen dataclass.
    """

    kind: ClassVar[str]
    """Its name in files and reports: "fitted", "table", "roofline", "adapted"."""
    margin: float
    """A measured latency lies at most this share above the prediction in 95 of 100 cases."""
    report: FitReport

    @abstractmethod
    def predict(self, sheet: OperatorSheet) -> Array:
        """Milliseconds, (candidates,), vectorised.

        Raises ValueError when the sheet has arithmetic of a kind that the model knows nothing of.
        """

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """Plain data with the model's `kind` at "kind", for `core.cost.latency.from_json`."""

    @classmethod
    @abstractmethod
    def from_json(cls, raw: Mapping[str, Any]) -> LatencyModel:
        """Raises KeyError, TypeError or ValueError on foreign content."""

    def judged_on(self, sheet: OperatorSheet, measured_ms: Array) -> Self:
        """The same model, its report and margin those of measured networks it has not seen.

        `measured_ms` is (candidates,). Of a model that was fitted to these very networks the
        result would be too good. Raises ValueError as `predict` does, and for latencies that are
        not positive numbers.
        """
        measured = checked(sheet, measured_ms)
        predicted = self.predict(sheet)
        judgement = {
            "report": judged(predicted, measured),
            "margin": margin_over(predicted, measured),
        }
        return cast("Self", replace(cast("Any", self), **judgement))
