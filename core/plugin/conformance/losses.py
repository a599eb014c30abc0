"""What is expected of a distillation loss."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import torch
from torch import Tensor

from stillhouse.core.distill.hint_loss import HintLoss, Hints, HintShapes
from stillhouse.core.plugin.catalogue import Catalogue
from stillhouse.core.plugin.conformance.check import Setup, unmet
from stillhouse.core.plugin.conformance.code import final_subclass
from stillhouse.core.plugin.records import LossInfo, Record

_SHAPES = HintShapes(((6, 8), (4, 6)), samples=12, classes=3)


def check_code(record: Record, setup: Setup, catalogue: Catalogue) -> None:
    """A final subclass of `HintLoss`, built of shapes."""
    kind = final_subclass(catalogue.resolve(record), HintLoss)  # type: ignore[type-abstract]
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        kind(_SHAPES)


def check_behaviour(record: Record, setup: Setup, catalogue: Catalogue) -> None:
    """A finite scalar that the student learns from and the teacher does not, equal when repeated.

    For frames and for images, for a student that shows fewer channels, and for one that shows
    what the teacher shows.
    """
    compares = cast(LossInfo, record).compares
    for positions in ((5,), (3, 4)):
        hints = _hints(positions)
        value = _checked(record, catalogue, hints, compares)
        if value != _checked(record, catalogue, hints, compares):
            unmet("an equal value from one seed", "another", "draw from torch's generator alone")
        if compares == "features":
            _checked(record, catalogue, _narrow(hints), compares)
        _checked(record, catalogue, _agreeing(hints), compares, slopes=False)


def _checked(
    record: Record, catalogue: Catalogue, hints: Hints, compares: str, slopes: bool = True
) -> float:
    build = cast("type[HintLoss]", catalogue.resolve(record))
    student = (*hints.student, hints.student_logits)
    teacher = (*hints.teacher, hints.teacher_logits)
    for tensor in (*student, *teacher):
        tensor.requires_grad_(True).grad = None
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        loss = build(_SHAPES)
        with torch.no_grad():
            loss.begin(hints)
        value = loss(hints)
    _check_value(value)
    value.backward()
    learns = hints.student if compares == "features" else (hints.student_logits,)
    if slopes:
        _check_slopes(learns, compares)
    for tensor in (*student, *loss.parameters()):
        if tensor.grad is not None and not torch.isfinite(tensor.grad).all():
            unmet("finite slopes", "NaN or infinity", "keep roots and quotients away from 0")
    if any(tensor.grad is not None and tensor.grad.any() for tensor in teacher):
        unmet("no slope by what the teacher shows", "one", "detach the teacher's side")
    return float(value.detach())


def _check_value(value: object) -> None:
    if not isinstance(value, Tensor) or value.shape != ():
        came = f"a tensor {tuple(value.shape)}" if isinstance(value, Tensor) else repr(value)
        unmet("a scalar tensor", came, "take the mean over the batch")
    if not torch.isfinite(value):
        unmet("a finite value", float(value), "keep logarithms and quotients away from 0")


def _check_slopes(learns: tuple[Tensor, ...], compares: str) -> None:
    if all(tensor.grad is None or not tensor.grad.any() for tensor in learns):
        unmet(
            f"a slope by the student's {compares}", "none",
            "do not detach the student's side, or correct `compares` in the record",
        )  # fmt: skip


def _hints(positions: tuple[int, ...], batch: int = 4) -> Hints:
    generator = torch.Generator().manual_seed(0)

    def drawn(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    return Hints(
        tuple(drawn(batch, *positions, width) for width, _ in _SHAPES.widths),
        tuple(drawn(batch, *positions, width) for _, width in _SHAPES.widths),
        drawn(batch, _SHAPES.classes),
        drawn(batch, _SHAPES.classes),
        torch.arange(batch) % _SHAPES.classes,
        torch.arange(batch),
    )


def _narrow(hints: Hints) -> Hints:
    """An elastic student that shows its first channels."""
    first = tuple(one.detach()[..., : one.shape[-1] // 2].clone() for one in hints.student)
    return replace(hints, student=first)


def _agreeing(hints: Hints) -> Hints:
    """A student that answers as the teacher does and shows its first channels."""
    pairs = zip(hints.student, hints.teacher, strict=True)
    same = tuple(theirs.detach()[..., : ours.shape[-1]].clone() for ours, theirs in pairs)
    return replace(hints, student=same, student_logits=hints.teacher_logits.detach().clone())
