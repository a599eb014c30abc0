"""Features of paired layers in one shape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from stillhouse.core.distill.hint_loss import Hints
from stillhouse.core.errors import UserError
from stillhouse.core.evaluate import Batch, Observation


def hints_of(
    student: Observation,
    teacher: Observation,
    batch: Batch,
    pairs: Sequence[tuple[str, str]],
) -> Hints:
    """What a loss compares; `pairs` are taps (teacher, student).

    Both features of a pair are averaged to the fewer positions of the two. Where inputs have
    padding, means over real positions are compared, and so are they where one network has frames
    and the other rows and columns.

    Raises:
        UserError: positions that do not come from clips of one length.
    """
    size = len(batch.targets)
    both = [
        _alike(
            _of(student.features, own, size, student.mask),
            _of(teacher.features, other, size, teacher.mask).detach(),
            (other, own),
        )
        for other, own in pairs
    ]
    return Hints(
        tuple(own for own, _ in both),
        tuple(other for _, other in both),
        student.logits,
        teacher.logits.detach(),
        batch.targets,
        batch.indices,
    )


def _of(features: Mapping[str, Tensor], tap: str, samples: int, mask: Tensor | None) -> Tensor:
    """(samples, *positions, channels) in at least float32, or (samples, channels) under a mask."""
    found = features[tap]
    if len(found) != samples:
        found = found.reshape(samples, -1, found.shape[-1])
    if found.dtype not in (torch.float32, torch.float64):
        found = found.float()
    if mask is None or found.ndim != 3:
        return found
    real = mask.sum(1, keepdim=True).clamp(min=1)
    return found.masked_fill(~mask[..., None], 0).sum(1) / real


def _alike(student: Tensor, teacher: Tensor, names: tuple[str, str]) -> tuple[Tensor, Tensor]:
    if student.ndim != teacher.ndim:
        return _mean(student), _mean(teacher)
    wanted = [_fewer(a, b, names) for a, b in zip(_positions(student), _positions(teacher))]  # noqa: B905
    return _pooled(student, wanted), _pooled(teacher, wanted)


def _positions(features: Tensor) -> tuple[int, ...]:
    return tuple(features.shape[1:-1])


def _fewer(one: int, other: int, names: tuple[str, str]) -> int:
    """The fewer positions, of networks whose strides differ by a whole factor."""
    fewer, more = sorted((one, other))
    factor = max(1, round(more / fewer))
    if abs(more - factor * fewer) > max(2 * factor, more // 16):
        raise UserError(
            f"hints: teacher tap '{names[0]}' has {other} positions and student tap '{names[1]}' "
            f"{one}: they do not come from clips of one length; give both networks the same input, "
            "or choose other layers (stillhouse taps)"
        )
    return fewer


def _mean(features: Tensor) -> Tensor:
    return features.flatten(1, -2).mean(1) if features.ndim > 2 else features


def _pooled(features: Tensor, positions: list[int]) -> Tensor:
    if list(_positions(features)) == positions:
        return features
    channels_first = features.movedim(-1, 1)
    if len(positions) == 1:
        return functional.adaptive_avg_pool1d(channels_first, positions[0]).movedim(1, -1)
    rows, columns = positions
    return functional.adaptive_avg_pool2d(channels_first, (rows, columns)).movedim(1, -1)
