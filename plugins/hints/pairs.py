"""Which teacher layer teaches which student layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.errors import UserError, nearest
from stillhouse.core.evaluate import Context, Student, Teacher
from stillhouse.core.search.clustering import (
    Clustering,
    cluster,
    ends,
    k_by_silhouette,
    spread,
)

_LIMIT: Final = 10


@dataclass(frozen=True)
class Side:
    """A network's taps in order of depth, and the stage of each."""

    taps: tuple[str, ...]
    stages: tuple[int, ...]

    @property
    def ends(self) -> tuple[int, ...]:
        """The last tap of each stage."""
        return ends(self.stages)

    def evenly(self, k: int) -> tuple[int, ...]:
        """So many taps: the ends of stages where there are as many, else evenly spaced ones."""
        return self.ends if len(self.ends) == k else spread(len(self.taps), k)


def student_side(student: Student | None, context: Context) -> Side:
    """The taps of the student there is, or of the full network that is still to be made."""
    family = context.family
    structure = student.structure if student else context.full
    return Side(tuple(family.taps(structure)), family.stages(structure))


def teacher_side(teacher: Teacher) -> Side:
    return Side(teacher.taps, teacher.stages or (0,) * len(teacher.taps))


@dataclass(frozen=True)
class Hinting:
    """Pairs of layer numbers (teacher, student), both rising; and the clusters they are of."""

    pairs: tuple[tuple[int, int], ...]
    clustering: Clustering | None = None


def hinting(params: Any, teacher: Side, student: Side, distances: NDArray[np.float64]) -> Hinting:
    """What a method's parameters choose of the teacher's layers, `distances` (layers, layers).

    Raises:
        UserError: fewer taps than hints on either side, or `taps` that the teacher has not.
    """
    if params.select == "none":
        return Hinting(())
    if params.select == "taps":
        given = _numbers(params.layers, teacher) if params.layers else params.taps
        return _paired(_given(given, teacher), student)
    k = count(params, teacher, student, distances)
    if params.select == "stage-ends":
        return _paired(teacher.ends[-k:], student)
    _check(k, len(teacher.taps), "teacher")
    _check(k, len(student.taps), "student")
    found = cluster(distances, k, params.select, params.centre, stages=teacher.stages)
    return _paired(found.centres, student, found)


def count(params: Any, teacher: Side, student: Side, distances: NDArray[np.float64]) -> int:
    """How many hints."""
    if params.k:
        return int(params.k)
    stages = len(student.ends)
    if params.k_by == "stages" and stages > 1:
        return min(stages, len(teacher.taps))
    most = min(len(student.taps), len(teacher.taps) - 1, _LIMIT)
    if most < 2:
        return 1
    clusterer = params.select if params.select not in ("uniform", "stage-ends") else "auto"
    return k_by_silhouette(distances, 2, most, clusterer, params.centre)


def _numbers(names: Sequence[str], teacher: Side) -> tuple[int, ...]:
    """Where the teacher's taps of these names lie."""
    for name in names:
        if name not in teacher.taps:
            raise UserError(
                f"hints: the teacher has no tap '{name}'{nearest(str(name), teacher.taps)} "
                "(list them: stillhouse taps)"
            )
    numbers = tuple(teacher.taps.index(name) for name in names)
    if list(numbers) != sorted(set(numbers)):
        raise UserError(
            f"hints: expected layers in order of depth, each once, got {', '.join(names)}"
        )
    return numbers


def _given(taps: tuple[int, ...], teacher: Side) -> tuple[int, ...]:
    if not taps or taps[-1] >= len(teacher.taps):
        raise UserError(
            f"hints: select: taps needs rising numbers of the teacher's layers, 0 to "
            f"{len(teacher.taps) - 1}, or their names in layers, got {list(taps)}; list them with: "
            "stillhouse taps"
        )
    return tuple(taps)


def _paired(
    centres: tuple[int, ...], student: Side, clustering: Clustering | None = None
) -> Hinting:
    _check(len(centres), len(student.taps), "student")
    return Hinting(tuple(zip(centres, student.evenly(len(centres)), strict=True)), clustering)


def _check(k: int, taps: int, whose: str) -> None:
    if k > taps:
        raise UserError(
            f"hints: expected at most {taps} hints, as many as the {whose} has taps, got {k}; "
            "lower k"
        )
