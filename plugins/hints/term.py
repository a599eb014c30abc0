"""The loss term of hints: a loss, as its plugin supplies it, over paired features."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import cast, final

import torch
from torch import Tensor, nn

from stillhouse.core.distill.hint_loss import HintLoss, HintShapes
from stillhouse.core.errors import PluginError, StillhouseError
from stillhouse.core.evaluate import Batch, Context, LossTerm, Observation, Teacher
from stillhouse.core.plugin.records import LossInfo
from stillhouse.plugins.hints.features import hints_of
from stillhouse.plugins.hints.matrix import TEACHER

Pairs = tuple[tuple[str, str], ...]


def hint_term(
    info: LossInfo, pairs: Pairs, weight: float, teacher: Teacher, context: Context
) -> LossTerm:
    """The term of a loss over pairs of taps (teacher, student); normalised.

    Whatever the loss does wrong is a PluginError that names who supplied it.
    """
    supplied = _Supplied(info, context)
    samples, classes = len(context.task.data.train), context.task.outputs

    def adapter(widths: Mapping[str, int]) -> nn.Module:
        both = tuple((widths[own], teacher.widths[other]) for other, own in pairs)
        return supplied.built(HintShapes(both, samples, classes))

    def value(
        student: Observation,
        teachers: Mapping[str, Observation],
        batch: Batch,
        loss: nn.Module | None,
    ) -> Tensor:
        hints = hints_of(student, teachers[TEACHER], batch, pairs)
        with supplied.blamed():
            return _scalar(_own(loss)(hints))

    def begin(
        student: Observation,
        teachers: Mapping[str, Observation],
        batch: Batch,
        loss: nn.Module | None,
    ) -> None:
        hints = hints_of(student, teachers[TEACHER], batch, pairs)
        with supplied.blamed():
            _own(loss).begin(hints)

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


@final
class _Supplied:
    """A loss and who supplied it."""

    def __init__(self, info: LossInfo, context: Context) -> None:
        assert context.catalogue is not None  # noqa: S101 - `info` is from there
        resolved = context.catalogue.resolve(info)
        self._build = cast("Callable[[HintShapes], object]", resolved)
        self._who = f"loss '{info.name}' ({context.catalogue.provenance('loss', info.name)})"

    def built(self, shapes: HintShapes) -> HintLoss:
        with self.blamed():
            return _own(self._build(shapes))

    @contextmanager
    def blamed(self) -> Iterator[None]:
        try:
            yield
        except (StillhouseError, OSError, MemoryError, torch.OutOfMemoryError):
            raise
        except Exception as error:
            raise PluginError(f"{self._who} failed: {type(error).__name__}: {error}") from error


def _own(loss: object) -> HintLoss:
    if not isinstance(loss, HintLoss):
        raise TypeError(f"expected a HintLoss, got {type(loss).__name__}")
    return loss


def _scalar(value: object) -> Tensor:
    if not isinstance(value, Tensor) or value.ndim:
        got = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
        raise TypeError(f"expected a loss that is a scalar tensor, got {got}")
    return value
