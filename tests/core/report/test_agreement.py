from __future__ import annotations

import math
from dataclasses import replace

import pytest

from stillhouse.core.report.agreement import Pair, agreement, pairs
from stillhouse.core.run.summary import RunSummary


def made(*values: tuple[float, float]) -> list[Pair]:
    return [Pair(predicted, measured, "", True) for predicted, measured in values]


def test_the_error_is_relative_to_what_was_measured() -> None:
    found = agreement(made((1.1, 1.0), (1.6, 2.0)))
    assert found is not None
    assert found.mape == pytest.approx((0.1 + 0.2) / 2)
    assert found.within == 1
    assert found.spearman is None


def test_rank_correlation_agrees_with_scipy_also_for_ties() -> None:
    from scipy.stats import spearmanr

    values = [(1.0, 2.0), (2.0, 2.0), (3.0, 5.0), (2.0, 1.0), (7.0, 4.0)]
    found = agreement(made(*values))
    assert found is not None
    expected = spearmanr([a for a, _ in values], [b for _, b in values]).statistic
    assert found.spearman == pytest.approx(expected)


def test_equal_predictions_have_no_rank_correlation() -> None:
    found = agreement(made((1.0, 1.0), (1.0, 2.0), (1.0, 3.0)))
    assert found is not None
    assert found.spearman is None


def test_pairs_without_two_usable_numbers_are_left_out(summary: RunSummary) -> None:
    broken = [
        {"predicted_ms": math.nan, "measured_ms": 1.0, "label": "", "held_out": True},
        {"predicted_ms": 1.0, "measured_ms": 0.0, "label": "", "held_out": True},
    ]
    changed = replace(summary, latency_pairs=[*broken, *summary.latency_pairs])
    assert pairs(changed) == pairs(summary)
