"""Soft labels: the teacher's answers at a temperature."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, final

from torch import Tensor, nn

from stillhouse.core.distill.losses import distilled, soft_labels, softened
from stillhouse.core.evaluate import (
    Artefact,
    Batch,
    Choice,
    Context,
    LossTerm,
    Method,
    Observation,
    State,
    Task,
)

TEACHER = "teacher"
Form = Literal["softmax", "sigmoid"]


@final
class SoftLabels(Method):
    """Adds tau^2 * KL(p_T^tau || p_S^tau) against the run's teacher (arXiv:1503.02531).

    Where a sample has several labels, p^tau is a sigmoid for each of them, unless the softmax of
    LRH-Net (arXiv:2204.08000) is asked for, which knows only how labels compare.
    """

    def apply(self, state: State, choice: Choice, artefact: Artefact, context: Context) -> State:
        params = choice.params
        form = form_of(params.form, context.task)
        return state.with_term(soft_labels_term(params.temperature, params.weight, form))

    def effect(self, state: State, choice: Choice, artefact: Artefact, context: Context) -> Any:
        """What it was before there were forms, for the softmax: old runs go on."""
        params = choice.params
        form = form_of(params.form, context.task)
        kept = f"SoftLabelsParams(temperature={params.temperature!r}, weight={params.weight!r})"
        return [kept, choice.genes] if form == "softmax" else [kept, choice.genes, form]


def form_of(wanted: str, task: Task) -> Form:
    """The form of soft labels that a run file asks for, where `auto` is left to the task."""
    if wanted == "auto":
        return "sigmoid" if task.several else "softmax"
    return "sigmoid" if wanted == "sigmoid" else "softmax"


def soft_labels_term(temperature: float, weight: float, form: Form = "softmax") -> LossTerm:
    """The loss term at a temperature."""

    def value(
        student: Observation,
        teachers: Mapping[str, Observation],
        batch: Batch,
        adapter: nn.Module | None,
    ) -> Tensor:
        own, other = student.logits, teachers[TEACHER].logits
        if form == "softmax":
            return soft_labels(own, other, temperature)
        return distilled(own, softened(other, temperature, True), temperature, several=True)

    said = "" if form == "softmax" else f" form={form}"
    name = f"soft-labels(temperature={temperature:g}{said})"
    return LossTerm(name, weight, value, teachers=(TEACHER,))
