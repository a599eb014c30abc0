"""Hints: features of chosen teacher layers as targets of the student's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, final

import numpy as np

from stillhouse.core.errors import UserError
from stillhouse.core.evaluate import Artefact, Choice, Context, Method, State
from stillhouse.core.plugin.records import LossInfo
from stillhouse.core.search.clustering import silhouette
from stillhouse.plugins.hints.matrix import TEACHER, catalogue_of, matrices
from stillhouse.plugins.hints.pairs import Hinting, hinting, student_side, teacher_side
from stillhouse.plugins.hints.term import hint_term

ARMS: Final = {
    "uniform-spacing": {"select": "uniform"},
    "stage-ends": {"select": "stage-ends"},
    "no-hints": {"select": "none"},
}


@final
class HintLayers(Method):
    """Clusters the teacher's layers by similarity; their centres teach the student's stages.

    After PURSUhInT (arXiv:2103.00053). Layers are paired in order of depth. Whether hints help at
    all is an open question (arXiv:2502.04499), so every search is set beside evenly spaced layers,
    the ends of stages, and no hints.
    """

    def prepare(self, state: State, params: Any, context: Context) -> Artefact:
        return matrices(state, params.similarity.split("+"), params.samples, context)

    def check(self, state: State, choice: Choice, context: Context) -> None:
        """Raises UserError for a loss that is not there or does not suit the task, more hints than
        taps, unknown layers, and layers that nothing selects."""
        named, select = choice.params.layers or choice.params.taps, choice.params.select
        if named and select != "taps":
            raise UserError(
                f"hints: layers are given ({', '.join(map(str, named))}), but select: {select} "
                "chooses others; write select: taps, or take them out"
            )
        info, teacher = _loss(choice, context), teacher_side(state.teachers[TEACHER])
        apart = 1 - np.eye(len(teacher.taps))
        if info.compares == "features":
            hinting(choice.params, teacher, student_side(state.student, context), apart)

    def apply(self, state: State, choice: Choice, artefact: Artefact, context: Context) -> State:
        """Raises UserError for more hints than taps, and clips of different length."""
        params, info = choice.params, _loss(choice, context)
        if params.select == "none":
            return state
        pairs = () if info.compares == "answers" else _names(state, choice, artefact, context)
        return state.with_term(
            hint_term(info, pairs, params.weight, state.teachers[TEACHER], context)
        )

    def effect(self, state: State, choice: Choice, artefact: Artefact, context: Context) -> Any:
        params = choice.params
        if params.select == "none":
            return None
        info = _loss(choice, context)
        pairs = () if info.compares == "answers" else _names(state, choice, artefact, context)
        return [params.loss, params.weight, pairs]

    def controls(self, params: Any) -> Mapping[str, Mapping[str, Any]]:
        return ARMS

    def proxy(
        self, state: State, choice: Choice, artefact: Artefact, context: Context
    ) -> float | None:
        """How near the teacher's layers are to the chosen ones: 0 for all chosen, about -1 by
        chance."""
        found = _hinting(state, choice, artefact, context)
        if not found.pairs or _loss(choice, context).compares == "answers":
            return None
        distances = artefact.tensors["distance"].numpy()
        nearest = distances[:, [teacher for teacher, _ in found.pairs]].min(1)
        return -float(nearest.mean() / max(distances.mean(), 1e-12))

    def exhibit(
        self, state: State, choice: Choice, artefact: Artefact, context: Context
    ) -> Mapping[str, Any]:
        found, params = _hinting(state, choice, artefact, context), choice.params
        if _loss(choice, context).compares == "answers":
            found = Hinting(())
        first = artefact.record["similarities"][0]
        clusters = found.clustering
        return {
            "kind": "layer-similarity",
            "method": "hints",
            "metric": params.similarity,
            "samples": artefact.record["samples"],
            "layers": artefact.record["layers"],
            "similarity": artefact.tensors[first].tolist(),
            "labels": list(clusters.labels) if clusters else [],
            "centres": [teacher for teacher, _ in found.pairs],
            "student_layers": list(student_side(state.student, context).taps),
            "pairs": [list(pair) for pair in found.pairs],
            "silhouette": _silhouette(artefact, found),
            "select": params.select,
            "loss": params.loss,
        }


def _hinting(state: State, choice: Choice, artefact: Artefact, context: Context) -> Hinting:
    distances = artefact.tensors["distance"].numpy().astype(np.float64)
    teacher = teacher_side(state.teachers[TEACHER])
    return hinting(choice.params, teacher, student_side(state.student, context), distances)


def _silhouette(artefact: Artefact, found: Hinting) -> float | None:
    """How well the clusters stand apart; one cluster stands apart from none."""
    if found.clustering is None or len(found.clustering.centres) < 2:
        return None
    return float(silhouette(artefact.tensors["distance"].numpy(), found.clustering.labels))


def _names(
    state: State, choice: Choice, artefact: Artefact, context: Context
) -> tuple[tuple[str, str], ...]:
    """The paired taps, (teacher, student)."""
    pairs = _hinting(state, choice, artefact, context).pairs
    teacher, student = state.teachers[TEACHER].taps, student_side(state.student, context).taps
    return tuple((teacher[one], student[other]) for one, other in pairs)


def _loss(choice: Choice, context: Context) -> LossInfo:
    info = catalogue_of(context).loss(choice.params.loss)
    if info.compares == "answers" and context.task.several:
        raise UserError(
            f"hints.loss: {info.name} compares answers of one class a sample, but here samples "
            "have any number of labels; take soft-labels, or a loss that compares features"
        )
    return info
