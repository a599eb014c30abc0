"""A teacher's layers over part of a data set, streamed."""

from __future__ import annotations

from typing import Final

import torch

from stillhouse.core.evaluate.context import Progress, Silent
from stillhouse.core.evaluate.data import Split
from stillhouse.core.evaluate.teacher import ModuleTeacher, Teacher
from stillhouse.core.similarity.accumulator import Accumulator, evenly
from stillhouse.core.similarity.layers import Layers

_CHUNK: Final = 16
"""Samples that run together: never the training's batch, so that no result depends on that."""


def observe(
    teacher: Teacher,
    taps: tuple[str, ...],
    split: Split,
    *,
    samples: int,
    kept: int = 1000,
    device: str = "cpu",
    progress: Progress | None = None,
) -> Layers:
    """Run the teacher once over at most `samples` of a split, evenly spaced, in the split's order.

    Inputs are seen as they are stored: no training views, no randomness. `kept` of them, evenly
    spaced as well, keep their features. The teacher is on `device` already; it remembers no answer
    of this pass.

    Raises `UserError` for an unknown tap, fewer than two samples, and features that have no mean
    over positions, naming the tap.
    """
    progress = progress or Silent()
    if isinstance(teacher, ModuleTeacher):
        teacher = teacher.forgetful()
    places = torch.from_numpy(evenly(len(split), samples))
    gathered = Accumulator(taps, len(places), kept)
    progress.start("comparing layers", len(places))
    try:
        for chunk in torch.split(torch.arange(len(places)), _CHUNK):
            seen = teacher.observe(split.seen[places[chunk]].to(device), taps)
            gathered.add(seen.features, chunk, seen.mask)
            progress.advance(len(chunk))
    finally:
        progress.finish()
    return gathered.layers()
