"""How a search got better: best so far and hypervolume after each evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stillhouse.core.report.costs import Cost, known_views, value_of
from stillhouse.core.report.quality import Quality, primary
from stillhouse.core.run.summary import RunSummary


@dataclass(frozen=True)
class Volume:
    """Hypervolume after each evaluation, as a share of the box from reference to ideal."""

    cost: Cost
    shares: Sequence[float]
    reference: tuple[float, float]
    """Worst quality and largest cost that were seen: (quality, cost)."""
    ideal: tuple[float, float]
    """Best quality and smallest cost that were seen: (quality, cost)."""


@dataclass(frozen=True)
class Progress:
    """`qualities` in order of evaluation, failed ones left out; `best` so far beside each."""

    quality: Quality
    numbers: Sequence[int]
    qualities: Sequence[float]
    best: Sequence[float]
    volume: Volume | None


def progress(summary: RunSummary) -> Progress:
    """Follow the evaluations in order; without any known cost there is no hypervolume."""
    quality = primary(summary)
    known = [
        (i + 1, value, evaluation.costs)
        for i, evaluation in enumerate(summary.evaluations)
        if (value := quality.of(evaluation.values)) is not None
    ]
    values = [value for _, value, _ in known]
    best = [values[0]] if values else []
    for value in values[1:]:
        best.append(quality.best((best[-1], value)))
    volume = None
    for cost in known_views(summary):
        costs = [value_of(c, cost.name) for _, _, c in known]
        complete = [c for c in costs if c is not None]
        if complete and len(complete) == len(values):
            volume = _volume(quality, cost, values, complete)
            break
    return Progress(quality, [number for number, _, _ in known], values, best, volume)


def _volume(
    quality: Quality, cost: Cost, values: Sequence[float], costs: Sequence[float]
) -> Volume | None:
    """None where all qualities or all costs are equal: the box has no volume."""
    ideal = (quality.best(values), min(costs))
    reference = (min(values) if quality.maximize else max(values), max(costs))
    box = abs(ideal[0] - reference[0]) * (reference[1] - ideal[1])
    if box <= 0:
        return None
    shares = _shares(quality, list(zip(values, costs, strict=True)), reference, box)
    return Volume(cost, shares, reference, ideal)


def _shares(
    quality: Quality,
    points: Sequence[tuple[float, float]],
    reference: tuple[float, float],
    box: float,
) -> list[float]:
    """Recomputed only when a point joins the front, so thousands of evaluations stay cheap."""
    from stillhouse.core.search.front import hypervolume

    front: list[tuple[float, float]] = []
    shares: list[float] = []
    for point in points:
        if any(_covers(quality, other, point) for other in front):
            shares.append(shares[-1])
            continue
        front = [other for other in front if not _covers(quality, point, other)] + [point]
        volume = hypervolume(np.array(front), reference, [quality.maximize, False])
        shares.append(volume / box)
    return shares


def _covers(quality: Quality, one: tuple[float, float], other: tuple[float, float]) -> bool:
    return not quality.better(other[0], one[0]) and one[1] <= other[1]
