"""RKD: distances and angles between the samples of a batch."""

from __future__ import annotations

from typing import Final, final

import torch
from torch import Tensor
from torch.nn import functional

from stillhouse.core.distill.hint_loss import HintLoss, Hints
from stillhouse.plugins.losses.features import means, pairs, unit

_DISTANCES: Final = 25.0
_ANGLES: Final = 50.0


@final
class RKD(HintLoss):
    """25 mean h(d_S, d_T) + 50 mean h(a_S, a_T), means over pairs and triples, h smooth L1.

    d_ij = |x_i - x_j| over the mean of those that are not 0; a_ijk = cos of the angle at x_j
    between x_i and x_k; x are means over positions. Park et al., arXiv:1904.05068, section 3.2,
    equal indices included as published. 0 for a batch of one. Memory grows as batch^3.
    """

    def forward(self, hints: Hints) -> Tensor:
        losses = [_relations(means(student), means(teacher)) for student, teacher in pairs(hints)]
        return torch.stack(losses).sum()


def _relations(student: Tensor, teacher: Tensor) -> Tensor:
    distances = functional.smooth_l1_loss(_distances(student), _distances(teacher))
    angles = functional.smooth_l1_loss(_angles(student), _angles(teacher))
    return _DISTANCES * distances + _ANGLES * angles


def _distances(vectors: Tensor) -> Tensor:
    """(batch, width) to (batch, batch); the root has no slope at 0, so 0 is left out of it."""
    squares = (vectors[:, None] - vectors).square().sum(-1)
    apart = squares > 0
    distances = torch.where(apart, squares, 1).sqrt() * apart
    mean = distances.sum() / apart.sum().clamp(min=1)
    return distances / torch.where(mean > 0, mean, 1)


def _angles(vectors: Tensor) -> Tensor:
    """(batch, width) to (batch, batch, batch), the vertex first."""
    edges = unit(vectors - vectors[:, None])
    return edges @ edges.mT
