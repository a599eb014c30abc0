"""Latency of any candidate from its operator sheet: several models behind one interface."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from stillhouse.core.cost.latency.adapted import AdaptedLatency as AdaptedLatency
from stillhouse.core.cost.latency.adapted import adapted as adapted
from stillhouse.core.cost.latency.choice import Choice as Choice
from stillhouse.core.cost.latency.choice import Predictor as Predictor
from stillhouse.core.cost.latency.choice import chosen as chosen
from stillhouse.core.cost.latency.contract import FitReport as FitReport
from stillhouse.core.cost.latency.contract import LatencyModel as LatencyModel
from stillhouse.core.cost.latency.fitted import LEAST_MEASURED as LEAST_MEASURED
from stillhouse.core.cost.latency.fitted import FittedLatency as FittedLatency
from stillhouse.core.cost.latency.judging import guaranteed as guaranteed
from stillhouse.core.cost.latency.judging import judged as judged
from stillhouse.core.cost.latency.judging import kendall as kendall
from stillhouse.core.cost.latency.judging import margin_over as margin_over
from stillhouse.core.cost.latency.judging import spearman as spearman
from stillhouse.core.cost.latency.roofline import Roofline as Roofline
from stillhouse.core.cost.latency.table import BlockTable as BlockTable

KINDS: Final[Mapping[str, type[LatencyModel]]] = {
    "fitted": FittedLatency,
    "adapted": AdaptedLatency,
    "roofline": Roofline,
    "table": BlockTable,
}


def from_json(raw: Mapping[str, Any]) -> LatencyModel:
    """A stored model of any kind. Raises KeyError, TypeError or ValueError on foreign content."""
    return KINDS[raw["kind"]].from_json(raw)
