"""Hidden states: the mean of the teacher's last layers, predicted from the student's last."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from stillhouse.core.distill.losses import HiddenLoss, hidden_loss, masked_loss, mean_target
from stillhouse.core.distill.masking import MASKED
from stillhouse.core.errors import UserError
from stillhouse.core.evaluate import (
    LAST,
    Artefact,
    Batch,
    Choice,
    Context,
    LossTerm,
    Method,
    ModuleTeacher,
    Observation,
    State,
    Teacher,
)

TEACHER = "teacher"
Positions = Literal["all", "masked"]

_FEED_FORWARD = "feed_forward"


@final
class HiddenStates(Method):
    """Adds the distance between the teacher's mean hidden state and a linear map of the student's.

    The target follows data2vec (arXiv:2202.03555, section 3.3) and LightHuBERT
    (arXiv:2203.15610): the mean of the last `layers` taps, or of their feed-forward layers' outputs
    before the residual sum. All positions count, or those hidden from the student.
    """

    def apply(self, state: State, choice: Choice, artefact: Artefact, context: Context) -> State:
        """Raises UserError for a missing teacher, fewer taps than asked for, or absent masks."""
        params = choice.params
        if params.loss_on == "masked" and state.masking is None:
            raise UserError(
                "hidden-states: loss_on: masked needs masked positions, but nothing masks them; "
                "put mask-spans before it, or use loss_on: all"
            )
        taps = _last_taps(state.teachers, params.layers)
        width = state.teachers[TEACHER].widths[taps[-1]]
        if params.features == _FEED_FORWARD:
            taps = _inner(state.teachers[TEACHER], taps)
        return state.with_term(
            hidden_states_term(
                taps,
                width,
                params.loss,
                params.weight,
                params.instance_norm,
                params.loss_on,
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
    taps: tuple[str, ...],
    width: int,
    loss: HiddenLoss,
    weight: float,
    normalise: bool,
    on: Positions = "all",
) -> LossTerm:
    """The loss term against teacher taps of `width` features.

    Each tap is (batch, positions, width), or the same with samples and positions in one axis.
    """

    def adapter(student_widths: Mapping[str, int]) -> nn.Module:
        return ColumnSlicedLinear(student_widths[LAST], width)

    norm = "instance" if normalise else "none"
    only = " on=masked" if on == "masked" else ""
    return LossTerm(
        f"hidden-states(taps={','.join(taps)} loss={loss} norm={norm}{only})",
        weight,
        _value(taps, loss, normalise, on),
        student_taps=(LAST,),
        teacher_taps={TEACHER: taps},
        adapter=adapter,
    )


def _value(
    taps: tuple[str, ...], loss: HiddenLoss, normalise: bool, on: Positions
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
            layers = [_by_sample(features[tap], len(batch.targets)) for tap in taps]
            target = mean_target(layers, normalise)
        own = adapter(_by_sample(student.features[LAST], len(batch.targets)))
        if on == "masked":
            return masked_loss(own, target, loss, student.features[MASKED])
        return hidden_loss(own, target, loss)

    return value


def _by_sample(features: Tensor, samples: int) -> Tensor:
    """(samples, positions, width), also from features with more axes of positions, or with the
    first two axes in one."""
    return features.reshape(samples, -1, features.shape[-1])


def _last_taps(teachers: Mapping[str, Teacher], layers: int) -> tuple[str, ...]:
    if TEACHER not in teachers:
        raise UserError(f"hidden-states learns from '{TEACHER}', but the run has none; add one")
    taps = teachers[TEACHER].taps
    if layers > len(taps):
        raise UserError(
            f"hidden-states: expected layers of at most {len(taps)} (the taps of the teacher), "
            f"got {layers}"
        )
    widths = {tap: teachers[TEACHER].widths[tap] for tap in taps[-layers:]}
    if len(set(widths.values())) > 1:
        raise UserError(
            f"hidden-states: expected taps of one width to take the mean of, got "
            f"{', '.join(f'{tap} {width}' for tap, width in widths.items())}; lower layers"
        )
    return taps[-layers:]


def _inner(teacher: Teacher, taps: tuple[str, ...]) -> tuple[str, ...]:
    """The taps' feed-forward layers."""
    inner = tuple(f"{tap}.{_FEED_FORWARD}" for tap in taps)
    modules = dict(teacher.module.named_modules()) if isinstance(teacher, ModuleTeacher) else {}
    for name in inner:
        if name not in modules:
            raise UserError(
                f"hidden-states: features: feed_forward needs a teacher with a layer '{name}', "
                f"this one has none; use features: output"
            )
    return inner
