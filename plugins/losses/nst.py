"""NST: the distribution of a layer's activation patterns over positions."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from stillhouse.core.distill.hint_loss import HintLoss, Hints
from stillhouse.plugins.losses.features import pairs, spread, unit


@final
class NST(HintLoss):
    """Squared MMD of the two networks' channels under k(x, y) = (x . y)^2, mean over the batch.

    x and y are a sample's channels as vectors over positions, of length 1: mean k(t, t') +
    mean k(s, s') - 2 mean k(s, t). Huang and Wang, arXiv:1707.01219, section 4, polynomial kernel
    with d = 2 and c = 0. Raises `UserError` for features of a single position, which leaves only
    the sign of a channel.
    """

    def forward(self, hints: Hints) -> Tensor:
        distances = [_discrepancy(_patterns(s), _patterns(t)).mean() for s, t in pairs(hints)]
        return torch.stack(distances).sum()


def _patterns(features: Tensor) -> Tensor:
    """(batch, positions, channels), each channel of length 1."""
    return unit(spread(features, "nst"), dim=1)


def _discrepancy(student: Tensor, teacher: Tensor) -> Tensor:
    """(batch,). The kernel's feature map is x x^T: the mean over channels is a Gram of positions.

    Where positions outnumber channels the kernel itself is the smaller matrix.
    """
    if student.shape[1] <= min(student.shape[2], teacher.shape[2]):
        return (_embedding(student) - _embedding(teacher)).square().sum((1, 2))
    within = _kernel(teacher, teacher) + _kernel(student, student)
    return within - 2 * _kernel(student, teacher)


def _embedding(patterns: Tensor) -> Tensor:
    """(batch, positions, positions)."""
    return patterns @ patterns.mT / patterns.shape[2]


def _kernel(one: Tensor, other: Tensor) -> Tensor:
    """The mean of k over pairs of channels, (batch,)."""
    return (one.mT @ other).square().mean((1, 2))
