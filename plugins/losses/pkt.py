"""PKT: how probably a sample has each other one as its neighbour."""

from __future__ import annotations

from typing import Final, final

import torch
from torch import Tensor

from stillhouse.core.distill.hint_loss import HintLoss, Hints
from stillhouse.plugins.losses.features import means, pairs, unit

_EPS: Final = 1e-7


@final
class PKT(HintLoss):
    """Mean over samples i of sum_j p_ij log((p_ij + e) / (q_ij + e)), p the teacher's, e = 1e-7.

    p and q are (1 + cos(x_i, x_j)) / 2 with rows that sum to 1, x means over positions. Passalis
    and Tefas, arXiv:1803.10837, section 3; j = i included as in the published code. 0 for a batch
    of one.
    """

    def forward(self, hints: Hints) -> Tensor:
        divergences = [
            _divergence(_neighbours(means(student)), _neighbours(means(teacher)))
            for student, teacher in pairs(hints)
        ]
        return torch.stack(divergences).sum()


def _neighbours(vectors: Tensor) -> Tensor:
    """(batch, width) to (batch, batch), a distribution in each row."""
    directions = unit(vectors)
    similarities = (directions @ directions.mT + 1) / 2
    return similarities / similarities.sum(-1, keepdim=True)


def _divergence(student: Tensor, teacher: Tensor) -> Tensor:
    return (teacher * ((teacher + _EPS) / (student + _EPS)).log()).sum(-1).mean()
