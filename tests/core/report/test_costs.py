"""Costs as a report names them."""

from __future__ import annotations

import pytest

from stillhouse.core.report.costs import named


@pytest.mark.parametrize(
    ("name", "title", "unit"),
    [
        ("latency_ms", "latency", "ms"),
        ("latency_p95_ms", "latency p95", "ms"),
        ("latency_ms@98", "latency at length 98", "ms"),
        ("macs@49", "MACs at length 49", ""),
        ("energy", "energy", ""),
        ("energy_mj", "energy", "mJ"),
    ],
)
def test_a_cost_is_named_with_its_unit_and_its_length(name: str, title: str, unit: str) -> None:
    cost = named(name)
    assert (cost.name, cost.title, cost.unit) == (name, title, unit)
