"""What every latency model is: milliseconds of any candidate from its operator sheet alone."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.cost.sheet import OperatorSheet

Array = NDArray[np.float64]


@dataclass(frozen=True)
class FitReport:
    """How well measured candidates are predicted by a model that has not seen them.

    mape: mean absolute error relative to the measured latency. spearman, kendall (tau-b):
    correlations of ranks. within_10_percent: share of candidates whose error is at most 10 %.
    """

    measured: int
    mape: float
    spearman: float
    kendall: float
    within_10_percent: float


class LatencyModel(ABC):
    """Predicts, says how well it does, and by how much a measurement may lie above."""

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
