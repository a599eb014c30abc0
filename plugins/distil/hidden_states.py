"""Hidden states: the mean of the teacher's last layers, predicted from the student's last."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from stillhouse.core.distill.losses import HiddenLoss, hidden_loss, mean_target
from stillhouse.core.errors import UserError
from stillhouse.core.evaluate import (
    LAST,
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

TEACHER = "teacher"


@final
class HiddenStates(Method):
    """Adds the distance between the teacher's mean hidden state and a linear map of the student's.

    The target follows data2vec (arXiv:2202.03555, section 3.3) and LightHuBERT
    (arXiv:2203.15610): the mean of the last `layers` taps. All frames count.
    """

    def apply(self, state: State, choice: Choice, artefact: Artefact, context: Context) -> State:
        """Raises UserError when the run has no teacher or it has fewer taps than asked for."""
        params = choice.params
        taps = _last_taps(state.teachers, params.layers)
        return state.with_term(
            hidden_states_term(
                taps,
                state.teachers[TEACHER].widths[taps[-1]],
                params.loss,
                params.weight,
                params.instance_norm,
            )
        )


@final
class ColumnSlicedLinear(nn.Module):
    """A linear map without bias that uses as many input columns as there are features.

    Inputs (..., width) with width at most `widest`, outputs (..., outputs); one map serves every
    width of an elastic student.
    """

    def __init__(self, widest: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Linear(widest, outputs, bias=False).weight

    def forward(self, features: Tensor) -> Tensor:
        return functional.linear(features, self.weight[:, : features.shape[-1]])


def hidden_states_term(
    taps: tuple[str, ...], width: int, loss: HiddenLoss, weight: float, normalise: bool
) -> LossTerm:
    """The loss term against teacher taps (batch, frames, `width`)."""

    def adapter(student_widths: Mapping[str, int]) -> nn.Module:
        return ColumnSlicedLinear(student_widths[LAST], width)

    norm = "instance" if normalise else "none"
    return LossTerm(
        f"hidden-states(taps={','.join(taps)} loss={loss} norm={norm})",
        weight,
        _value(taps, loss, normalise),
        student_taps=(LAST,),
        teacher_taps={TEACHER: taps},
        adapter=adapter,
    )


def _value(
    taps: tuple[str, ...], loss: HiddenLoss, normalise: bool
) -> Callable[[Observation, Mapping[str, Observation], Batch, nn.Module | None], Tensor]:
    def value(
        student: Observation,
        teachers: Mapping[str, Observation],
        batch: Batch,
        adapter: nn.Module | None,
    ) -> Tensor:
        if adapter is None:
            raise TypeError("hidden-states needs the adapter it declares")
        with torch.no_grad():
            features = teachers[TEACHER].features
            target = mean_target([features[tap] for tap in taps], normalise)
        return hidden_loss(adapter(student.features[LAST]), target, loss)

    return value


def _last_taps(teachers: Mapping[str, Teacher], layers: int) -> tuple[str, ...]:
    if TEACHER not in teachers:
        raise UserError(f"hidden-states learns from '{TEACHER}', but the run has none; add one")
    taps = teachers[TEACHER].taps
    if layers > len(taps):
        raise UserError(
            f"hidden-states: expected layers of at most {len(taps)} (the taps of the teacher), "
            f"got {layers}"
        )
    return taps[-layers:]
