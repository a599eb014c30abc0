from __future__ import annotations

import re
from dataclasses import replace
from itertools import combinations
from xml.dom.minidom import parseString

import numpy as np
import pytest

from stillhouse.core.report.costs import LATENCY, SIZE, VIEWS, Cost
from stillhouse.core.report.frame import NARROW, WIDE, Canvas
from stillhouse.core.report.labels import Anchor, Box, place
from stillhouse.core.report.plot import front, plot
from stillhouse.core.report.scatter import scatter
from stillhouse.core.run.summary import RunSummary


def drawn_indices(svg: str) -> list[int]:
    found = re.findall(r'data-indices="([\d,]+)"', svg)
    return [int(index) for layer in found for index in layer.split(",")]


@pytest.mark.parametrize("cost", VIEWS, ids=lambda cost: cost.name)
@pytest.mark.parametrize("canvas", [WIDE, NARROW], ids=["wide", "narrow"])
def test_every_evaluation_is_a_dot_and_the_drawing_is_well_formed(
    summary: RunSummary, cost: Cost, canvas: Canvas
) -> None:
    svg = scatter(plot(summary, cost), canvas)
    parseString(svg)  # noqa: S318 - our own output
    assert sorted(drawn_indices(svg)) == list(range(len(summary.evaluations)))
    assert len(re.findall(r"M[\d.]+ [\d.]+h0", svg)) >= len(summary.evaluations)


def test_all_dots_lie_inside_the_plot(summary: RunSummary) -> None:
    svg = scatter(plot(summary, LATENCY), WIDE)
    for x, y in re.findall(r"M([\d.-]+) ([\d.-]+)h0", svg):
        assert WIDE.across[0] <= float(x) <= WIDE.across[1]
        assert WIDE.upward[1] <= float(y) <= WIDE.upward[0]


def test_the_front_is_what_no_other_point_beats(summary: RunSummary) -> None:
    gathered = plot(summary, LATENCY)
    kept = front(gathered.points, gathered.quality)
    for point in kept:
        assert not any(
            (q.quality > point.quality and q.cost <= point.cost)
            or (q.quality >= point.quality and q.cost < point.cost)
            for q in gathered.points
        )
    best = max(p.quality for p in gathered.points)
    assert kept[-1].quality == best


def test_lower_is_better_turns_the_front_over(summary: RunSummary) -> None:
    lower = replace(summary, objectives=[{"name": "log_loss", "maximize": False}])
    gathered = plot(lower, LATENCY)
    kept = front(gathered.points, gathered.quality)
    assert [p.quality for p in kept] == sorted((p.quality for p in kept), reverse=True)
    assert kept[-1].quality == min(p.quality for p in gathered.points)
    assert "lower is better" in scatter(gathered, WIDE)


def test_limits_in_bytes_appear_on_the_axis_of_kilobytes(summary: RunSummary) -> None:
    limit = replace(summary.limits[1], cost="size_bytes", bound=150_000.0)
    gathered = plot(replace(summary, limits=[limit]), SIZE)
    assert [bound.value for bound in gathered.bounds] == [150.0]
    svg = scatter(gathered, WIDE)
    assert svg.count('class="infeasible"') == 1
    assert "limit 150" in svg


def test_each_closing_model_has_a_shape_of_its_own(summary: RunSummary) -> None:
    svg = scatter(plot(summary, LATENCY), WIDE)
    groups = re.findall(r'<g class="marker (\w+)"[^>]*>|<g [^>]*class="marker (\w+)"', svg)
    assert {a or b for a, b in groups} == {"teacher", "found", "scratch", "scaled"}
    shapes = re.findall(r'class="marker[^>]*><path d="([^"]+)"', svg)
    assert len(set(shapes)) == 4


def test_labels_of_close_points_do_not_overlap() -> None:
    bounds = Box(0, 0, 400, 300)
    anchors = [Anchor(200 + i, 150 + i, f"model number {i}") for i in range(4)]
    labels = place(anchors, bounds, [], np.empty((0, 2)))
    for one, other in combinations(labels, 2):
        assert one.box.overlap(other.box) == 0
    assert all(label.box.outside(bounds) == pytest.approx(0) for label in labels)


def test_a_note_counts_what_is_drawn_at_the_edge(summary: RunSummary) -> None:
    bad = [
        replace(e, values={"accuracy": 0.12}) if i < 3 else e
        for i, e in enumerate(summary.evaluations)
    ]
    gathered = plot(replace(summary, evaluations=bad), LATENCY)
    below = sum(p.quality < gathered.shown.low for p in gathered.points)
    assert below >= 3
    assert gathered.note.startswith(f"{below} evaluations lie below")
