"""Hints: features of chosen teacher layers as targets of the student's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast, final

import numpy as np
from torch import Tensor, nn

from stillhouse.core.distill.hint_loss import HintLoss, HintShapes
from stillhouse.core.errors import UserError
from stillhouse.core.evaluate import (
    Artefact,
    Batch,
    Choice,
    Context,
    LossTerm,
    Method,
    Observation,
    State,
    Teacher,
)
from stillhouse.core.plugin.records import LossInfo
from stillhouse.core.search.clustering import silhouette
from stillhouse.plugins.hints.features import hints_of
from stillhouse.plugins.hints.matrix import TEACHER, matrices
from stillhouse.plugins.hints.pairs import Hinting, hinting, student_side, teacher_side

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

    def apply(self, state: State, choice: Choice, artefact: Artefact, context: Context) -> State:
        """Raises UserError for more hints than taps, and clips of different length."""
        params, info = choice.params, _loss(choice, context)
        if params.select == "none":
            return state
        pairs = () if info.compares == "answers" else _names(state, choice, artefact, context)
        return state.with_term(_term(info, pairs, params.weight, state.teachers[TEACHER], context))

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
            "student_layers": list(student_side(context).taps),
            "pairs": [list(pair) for pair in found.pairs],
            "silhouette": _silhouette(artefact, found),
            "select": params.select,
            "loss": params.loss,
        }


def _hinting(state: State, choice: Choice, artefact: Artefact, context: Context) -> Hinting:
    distances = artefact.tensors["distance"].numpy().astype(np.float64)
    teacher = teacher_side(state.teachers[TEACHER])
    return hinting(choice.params, teacher, student_side(context), distances)


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
    teacher, student = state.teachers[TEACHER].taps, student_side(context).taps
    return tuple((teacher[one], student[other]) for one, other in pairs)


def _loss(choice: Choice, context: Context) -> LossInfo:
    if context.catalogue is None:
        raise UserError(
            "hints: expected a context with a catalogue, to find similarities and losses"
        )
    return context.catalogue.loss(choice.params.loss)


def _term(
    info: LossInfo,
    pairs: tuple[tuple[str, str], ...],
    weight: float,
    teacher: Teacher,
    context: Context,
) -> LossTerm:
    assert context.catalogue is not None  # noqa: S101 - `_loss` found it there
    build = cast("type[HintLoss]", context.catalogue.resolve(info))
    samples, classes = len(context.task.data.train), context.task.outputs

    def adapter(widths: Mapping[str, int]) -> nn.Module:
        both = tuple((widths[own], teacher.widths[other]) for other, own in pairs)
        return build(HintShapes(both, samples, classes))

    def value(
        student: Observation,
        teachers: Mapping[str, Observation],
        batch: Batch,
        loss: nn.Module | None,
    ) -> Tensor:
        found: Tensor = _own(loss)(hints_of(student, teachers[TEACHER], batch, pairs))
        return found

    def begin(
        student: Observation,
        teachers: Mapping[str, Observation],
        batch: Batch,
        loss: nn.Module | None,
    ) -> None:
        _own(loss).begin(hints_of(student, teachers[TEACHER], batch, pairs))

    said = " ".join(f"{other}>{own}" for other, own in pairs)
    return LossTerm(
        f"hints(loss={info.name} {said})",
        weight,
        value,
        student_taps=tuple(own for _, own in pairs),
        teacher_taps={TEACHER: tuple(other for other, _ in pairs)} if pairs else {},
        adapter=adapter,
        teachers=(TEACHER,),
        begin=begin,
        normalised=True,
    )


def _own(loss: nn.Module | None) -> HintLoss:
    if not isinstance(loss, HintLoss):
        raise TypeError(f"a loss is a HintLoss, got {type(loss).__name__}")
    return loss
