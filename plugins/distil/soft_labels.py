"""Soft labels: the teacher's answers at a temperature."""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

from torch import Tensor, nn

from stillhouse.core.distill.losses import soft_labels
from stillhouse.core.evaluate import (
    Artefact,
    Batch,
    Choice,
    Context,
    LossTerm,
    Method,
    Observation,
    State,
)

TEACHER = "teacher"


@final
class SoftLabels(Method):
    """Adds tau^2 * KL(p_T^tau || p_S^tau) against the run's teacher (arXiv:1503.02531)."""

    def apply(self, state: State, choice: Choice, artefact: Artefact, context: Context) -> State:
        return state.with_term(soft_labels_term(choice.params.temperature, choice.params.weight))


def soft_labels_term(temperature: float, weight: float) -> LossTerm:
    """The loss term at a temperature."""

    def value(
        student: Observation,
        teachers: Mapping[str, Observation],
        batch: Batch,
        adapter: nn.Module | None,
    ) -> Tensor:
        return soft_labels(student.logits, teachers[TEACHER].logits, temperature)

    return LossTerm(f"soft-labels(temperature={temperature:g})", weight, value, teachers=(TEACHER,))
