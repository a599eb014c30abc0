"""Known costs of a recipe's candidates, some of them measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

import numpy as np
import pytest

from stillhouse.core.cost.latency import FitReport, LatencyModel
from stillhouse.core.cost.limits import Limit
from stillhouse.core.cost.model import RecipeCosts
from stillhouse.core.cost.sheet import Operator, OperatorSheet
from stillhouse.core.cost.terms import macs

CODES = np.array([[0.0], [1.0], [2.0]])
PREDICTED_MS = np.array([1.0, 2.0, 3.0])


def sheet_of(codes: np.ndarray) -> OperatorSheet:
    """One linear operator whose latency is its first code plus one, in milliseconds."""
    cells = {"inputs": codes[:, 0] + 1, "outputs": 1.0}
    return OperatorSheet(len(codes), (Operator("only", "linear", "all", cells),))


@final
class MillisecondPerMac(LatencyModel):
    """A millisecond for every multiply-accumulate; wrong by at most a tenth."""

    kind = "per-mac"
    margin = 0.1
    report = FitReport(5, 0.0, 1.0, 1.0, 1.0)

    def predict(self, sheet: OperatorSheet) -> np.ndarray:
        return macs(sheet)

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind}

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> MillisecondPerMac:
        return cls()


@pytest.fixture
def latency() -> LatencyModel:
    model = MillisecondPerMac()
    assert model.predict(sheet_of(CODES)) == pytest.approx(PREDICTED_MS)
    return model


def test_a_predicted_latency_must_meet_its_limit_with_the_margin(latency: LatencyModel) -> None:
    costs = RecipeCosts(sheet_of, [Limit("latency_ms", "<=", 2.1)], latency)
    assert (costs.violation(CODES) == 0).tolist() == [True, False, False]


def test_a_measured_latency_needs_no_margin_on_either_side(latency: LatencyModel) -> None:
    limits = [Limit("latency_ms", ">=", 1.95), Limit("latency_ms", "<=", 2.05)]
    predicted = RecipeCosts(sheet_of, limits, latency)
    assert (predicted.violation(CODES) > 0).all()
    measured = RecipeCosts(sheet_of, limits, latency, measured=(CODES[:2], np.array([2.0, 2.5])))
    assert measured.table(CODES)["latency_ms"] == pytest.approx([2.0, 2.5, 3.0])
    assert (measured.violation(CODES) == 0).tolist() == [True, False, False]


def test_a_range_names_its_cost_once(latency: LatencyModel) -> None:
    limits = [Limit("latency_ms", ">=", 1.0), Limit("latency_ms", "<=", 2.0)]
    assert RecipeCosts(sheet_of, limits, latency).limited == ("latency_ms",)
