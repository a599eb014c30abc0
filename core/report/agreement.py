"""Predicted against measured latency: how far to trust the predictor."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.report.numerals import positive
from stillhouse.core.run.summary import RunSummary


@dataclass(frozen=True)
class Pair:
    """One measured network."""

    predicted_ms: float
    measured_ms: float
    label: str
    held_out: bool


@dataclass(frozen=True)
class Agreement:
    """`mape` is a share of the measured value; `spearman` is None for fewer than three pairs."""

    count: int
    mape: float
    spearman: float | None
    within: int
    """How many lie within 10 % of what was measured."""


def pairs(summary: RunSummary) -> list[Pair]:
    """The pairs with two usable numbers."""
    found = (_pair(entry) for entry in summary.latency_pairs)
    return [pair for pair in found if pair is not None]


def _pair(entry: Mapping[str, Any]) -> Pair | None:
    predicted, measured = positive(entry["predicted_ms"]), positive(entry["measured_ms"])
    if predicted is None or measured is None:
        return None
    return Pair(predicted, measured, str(entry.get("label", "")), bool(entry.get("held_out")))


def agreement(chosen: Sequence[Pair]) -> Agreement | None:
    """Mean absolute percentage error and rank correlation; None without pairs."""
    if not chosen:
        return None
    predicted = np.array([pair.predicted_ms for pair in chosen])
    measured = np.array([pair.measured_ms for pair in chosen])
    errors = np.abs(predicted / measured - 1)
    return Agreement(
        count=len(chosen),
        mape=float(errors.mean()),
        spearman=_spearman(predicted, measured),
        within=int(np.count_nonzero(errors <= 0.1 + 1e-12)),
    )


def _spearman(one: NDArray[np.float64], other: NDArray[np.float64]) -> float | None:
    """Correlation of the ranks, ties at their mean; None where it is not defined."""
    if len(one) < 3:
        return None
    a, b = (_ranks(values) - (len(values) - 1) / 2 for values in (one, other))
    scale = math.sqrt(float((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / scale if scale > 0 else None


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    smaller = (values[:, None] > values[None, :]).sum(axis=1)
    equal = (values[:, None] == values[None, :]).sum(axis=1)
    ranks: NDArray[np.float64] = smaller + (equal - 1) / 2
    return ranks
