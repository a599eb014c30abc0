"""Features of a pair of layers in the forms that losses compare."""

from __future__ import annotations

import torch
from torch import Tensor

from stillhouse.core.distill.hint_loss import Hints
from stillhouse.core.errors import UserError


def pairs(hints: Hints) -> list[tuple[Tensor, Tensor]]:
    """Features of student and teacher, pair by pair; the teacher's never have a gradient."""
    detached = (teacher.detach() for teacher in hints.teacher)
    return list(zip(hints.student, detached, strict=True))


def means(features: Tensor) -> Tensor:
    """(batch, *positions, channels) to (batch, channels), means over positions."""
    return features.flatten(1, -2).mean(1) if features.ndim > 2 else features


def positions(features: Tensor) -> Tensor:
    """(batch, *positions, channels) to (batch, positions, channels); a vector has one position."""
    return features.flatten(1, -2) if features.ndim > 2 else features[:, None]


def spread(features: Tensor, loss: str) -> Tensor:
    """`positions`, of which a loss needs two or more; UserError where there are fewer."""
    spread_out = positions(features)
    if spread_out.shape[1] < 2:
        raise UserError(
            f"loss {loss} compares patterns over positions and needs two or more, got features of "
            f"shape {tuple(features.shape)} (samples, *positions, channels), which pooled layers "
            "and padded inputs have; choose other layers, or a loss such as fitnets or rkd"
        )
    return spread_out


def unit(vectors: Tensor, dim: int = -1) -> Tensor:
    """Each vector over its Euclidean length; a zero vector stays zero, without gradient."""
    lengths: Tensor = torch.linalg.vector_norm(vectors, dim=dim, keepdim=True)
    real = lengths > 0
    return vectors / torch.where(real, lengths, 1) * real
