"""Which metric a report shows, and how limits on it appear."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stillhouse.core.report import pareto_json, render, results_csv
from stillhouse.core.report.checks import checks
from stillhouse.core.report.costs import LATENCY
from stillhouse.core.report.plot import plot
from stillhouse.core.report.quality import primary
from stillhouse.core.run.summary import LimitLine, RunSummary

METRICS = ({"name": "accuracy", "maximize": True}, {"name": "log_loss", "maximize": False})
FAST = {"name": "latency_ms", "maximize": False}
ACCURATE = LimitLine("accuracy", ">=", 0.97, ">= 0.97")


def fast(summary: RunSummary, *limits: LimitLine) -> RunSummary:
    return replace(summary, objectives=[FAST], metrics=METRICS, limits=[*summary.limits, *limits])


@pytest.mark.parametrize(
    ("limit", "shown"),
    [
        (ACCURATE, ("accuracy", True)),
        (LimitLine("log_loss", "<=", 0.2, "<= 0.2"), ("log_loss", False)),
    ],
)
def test_where_a_cost_is_optimised_the_limited_metric_is_shown(
    summary: RunSummary, limit: LimitLine, shown: tuple[str, bool]
) -> None:
    quality = primary(fast(summary, limit))
    assert (quality.name, quality.maximize) == shown


def test_where_only_costs_matter_the_tasks_first_metric_is_shown(summary: RunSummary) -> None:
    assert primary(fast(summary)).name == "accuracy"


def test_a_metric_goes_before_a_cost_among_the_objectives(summary: RunSummary) -> None:
    both = replace(summary, objectives=[FAST, *summary.objectives])
    assert primary(both).name == "accuracy"


def test_a_limit_on_the_metric_is_drawn_and_checked(summary: RunSummary) -> None:
    limited = fast(summary, ACCURATE)
    (floor,) = plot(limited, LATENCY).floors
    assert (floor.value, floor.upper, floor.label) == (0.97, False, "limit 97.0\u00a0%")
    assert "limit 97.0\u00a0%" in render(limited)
    measured = {**summary.certificate.measured, "accuracy": 0.0}
    (check,) = checks(replace(summary.certificate, measured=measured, limits=[ACCURATE]))
    assert (check.met, check.bound) == (False, "≥\u00a00.97")


def test_of_a_ladder_each_candidate_is_drawn_where_it_got_to(summary: RunSummary) -> None:
    low = [replace(e, fidelity=0.0) for e in summary.evaluations[:5]]
    high = replace(low[2], number=5, fidelity=1.0)
    climbed = replace(summary, evaluations=[*low, high])
    assert [point.index for point in plot(climbed, LATENCY).points] == [0, 1, 3, 4, 5]
    rows = results_csv(climbed).splitlines()
    assert rows[0].split(",")[4] == "fidelity"
    assert [row.split(",")[4] for row in rows[1:]] == ["0.0"] * 5 + ["1.0"]
    front = replace(climbed, evaluations=[replace(high, on_front=True)])
    assert '"fidelity": 1.0' in pareto_json(front)


def test_with_several_objectives_the_whole_front_is_marked(summary: RunSummary) -> None:
    one = plot(summary, LATENCY).points
    both = plot(replace(summary, objectives=[*summary.objectives, FAST]), LATENCY).points
    assert not any(point.on_front for point in one)
    on_front = [i for i, e in enumerate(summary.evaluations) if e.on_front]
    assert [point.index for point in both if point.on_front] == on_front
