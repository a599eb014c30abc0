"""A network with untrained exits, from a record of nothing but shapes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import torch
from torch import nn

from stillhouse.core.distill.taps import tapped
from stillhouse.core.evaluate import Context, Student
from stillhouse.plugins.dynamic.heads import ExitHead, Pool, drawn
from stillhouse.plugins.dynamic.info import Criterion
from stillhouse.plugins.dynamic.network import EarlyExitNetwork
from stillhouse.plugins.dynamic.placing import exits_of


@dataclass(frozen=True)
class Form:
    """What decides the form: exits by tap with the width of what they read."""

    widths: Mapping[str, int]
    classes: int
    criterion: Criterion
    pool: Pool

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Self:
        return cls(**record)

    def record(self) -> dict[str, Any]:
        """JSON-able; as `of` takes it."""
        return {**asdict(self), "widths": dict(self.widths)}


def form_of(student: Student, params: Any, context: Context) -> Form | None:
    """The form of a student's network; None for one that has no place for an exit."""
    taps = exits_of(student, params, context)
    if not taps:
        return None
    inputs = context.task.example(1)
    with torch.no_grad():
        logits, features = tapped(student.module, inputs, tuple(taps))
    widths = {tap: features[tap].shape[-1] for tap in taps}
    return Form(widths, logits.shape[-1], params.criterion, pool_of(context))


def pool_of(context: Context) -> Pool:
    """Of tokens the first position: others may be padding, which shows nothing."""
    return "mean" if context.task.example(1).is_floating_point() else "first"


def formed(backbone: nn.Module, form: Form, generator: torch.Generator) -> EarlyExitNetwork:
    """The backbone itself with fresh exits that no sample leaves at."""
    heads = {
        tap: drawn(ExitHead(width, form.classes, form.pool), generator)
        for tap, width in form.widths.items()
    }
    return EarlyExitNetwork(backbone, heads, form.criterion)
