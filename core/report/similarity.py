"""How alike a teacher's layers are, the clusters among them, and the hint points chosen."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final, final

from stillhouse.core.errors import UserError
from stillhouse.core.report.numerals import finite
from stillhouse.core.run.summary import RunSummary

KIND: Final = "layer-similarity"


@final
@dataclass(frozen=True)
class Run:
    """Neighbouring layers of one cluster: `start` up to but without `stop`."""

    start: int
    stop: int
    cluster: int


@final
@dataclass(frozen=True)
class LayerSimilarity:
    """Teacher layers against each other, 0 to 1; layers are numbered from 0, from the input on.

    `clusters` numbers each layer's cluster, from 0, in order of their first layers; empty where
    nothing was clustered. `pairs` are (teacher layer, student layer), empty without hints.
    """

    method: str
    metric: str
    samples: int
    layers: Sequence[str]
    similarity: Sequence[Sequence[float | None]]
    clusters: Sequence[int]
    centres: Sequence[int]
    student_layers: Sequence[str]
    pairs: Sequence[tuple[int, int]]
    silhouette: float | None
    select: str
    loss: str

    @property
    def runs(self) -> list[Run]:
        """The clusters cut where their layers are not neighbours, in the order of layers."""
        runs, start = [], 0
        for cluster, members in groupby(self.clusters):
            stop = start + len(list(members))
            runs.append(Run(start, stop, cluster))
            start = stop
        return runs

    @property
    def floor(self) -> float:
        """Where the scale of colours begins: the least similarity, rounded down to a tenth."""
        known = [value for row in self.similarity for value in row if value is not None]
        return min(0.9, max(0.0, math.floor(10 * min(known, default=0.0) + 1e-9) / 10))


def similarities(summary: RunSummary) -> list[LayerSimilarity]:
    """One for each exhibit of kind "layer-similarity"; UserError where its parts do not fit."""
    return [_similarity(one) for one in summary.exhibits if one.get("kind") == KIND]


def _similarity(exhibit: Mapping[str, Any]) -> LayerSimilarity:
    labels = exhibit["labels"]
    order = {label: i for i, label in enumerate(dict.fromkeys(labels))}
    found = LayerSimilarity(
        method=str(exhibit["method"]),
        metric=str(exhibit["metric"]),
        samples=int(exhibit["samples"]),
        layers=[str(name) for name in exhibit["layers"]],
        similarity=[[finite(value) for value in row] for row in exhibit["similarity"]],
        clusters=[order[label] for label in labels],
        centres=[int(centre) for centre in exhibit["centres"]],
        student_layers=[str(name) for name in exhibit["student_layers"]],
        pairs=[(int(teacher), int(student)) for teacher, student in exhibit["pairs"]],
        silhouette=finite(exhibit.get("silhouette")),
        select=str(exhibit["select"]),
        loss=str(exhibit["loss"]),
    )
    _check(found)
    return found


def _check(found: LayerSimilarity) -> None:
    count, students = len(found.layers), len(found.student_layers)
    widths = {len(row) for row in found.similarity}
    taught = {student for _, student in found.pairs}
    points = {*found.centres, *(teacher for teacher, _ in found.pairs)}
    for fits, expected, came in (
        (count > 0, "at least one layer", "none"),
        (len(found.similarity) == count and widths <= {count}, f"{count} by {count} similarities",
         f"{len(found.similarity)} rows of {sorted(widths)}"),
        (len(found.clusters) in (0, count), f"a label for each of {count} layers or none",
         f"{len(found.clusters)}"),
        (points <= set(range(count)), f"hint points from 0 to {count - 1}", f"{sorted(points)}"),
        (taught <= set(range(students)), f"student layers from 0 to {students - 1}",
         f"{sorted(taught)}"),
    ):  # fmt: skip
        if not fits:
            raise UserError(
                f"summary: exhibit '{KIND}' of {found.method}: expected {expected}, got {came}. "
                "Run the search again, or remove the exhibit from summary.json"
            )
