from __future__ import annotations

from dataclasses import replace

import pytest

from stillhouse.core.report.progress import progress
from stillhouse.core.run.summary import Evaluation, RunSummary


def evaluation(number: int, accuracy: float, latency_ms: float) -> Evaluation:
    costs = {"latency_ms": latency_ms}
    return Evaluation(number, str(number), {}, costs, {"accuracy": accuracy}, 0.1)


def test_hypervolume_is_the_share_of_the_box_that_the_front_covers(summary: RunSummary) -> None:
    # Reference (0.5, 2 ms), ideal (0.9, 1 ms); the second point covers a quarter of the box more.
    points = [(0.5, 1.0), (0.7, 1.5), (0.9, 2.0), (0.9, 1.0)]
    found = [evaluation(i, *point) for i, point in enumerate(points)]
    followed = progress(replace(summary, evaluations=found))
    assert followed.volume is not None
    assert followed.volume.reference == (0.5, 2.0)
    assert followed.volume.ideal == (0.9, 1.0)
    assert followed.volume.shares == pytest.approx([0.0, 0.25, 0.25, 1.0])


def test_best_so_far_and_hypervolume_never_fall(summary: RunSummary) -> None:
    followed = progress(summary)
    assert followed.volume is not None
    assert list(followed.best) == sorted(followed.best)
    assert list(followed.volume.shares) == pytest.approx(sorted(followed.volume.shares))
    assert followed.best[-1] == max(e.values["accuracy"] for e in summary.evaluations)


def test_a_failed_evaluation_counts_but_is_not_drawn(summary: RunSummary) -> None:
    failed = replace(summary.evaluations[1], values={})
    found = [summary.evaluations[0], failed, *summary.evaluations[2:5]]
    assert list(progress(replace(summary, evaluations=found)).numbers) == [1, 3, 4, 5]


@pytest.mark.parametrize(
    "points", [[(0.9, 1.0)], [(0.9, 1.0), (0.9, 2.0)], [(0.8, 1.0), (0.9, 1.0)], []]
)
def test_a_flat_box_has_no_hypervolume(
    summary: RunSummary, points: list[tuple[float, float]]
) -> None:
    found = [evaluation(i, *point) for i, point in enumerate(points)]
    assert progress(replace(summary, evaluations=found)).volume is None
