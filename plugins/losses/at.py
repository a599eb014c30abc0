"""AT: where a layer's energy lies."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor
from torch.nn import functional

from stillhouse.core.distill.hint_loss import HintLoss, Hints
from stillhouse.plugins.losses.features import pairs, spread, unit


@final
class AT(HintLoss):
    """mean (q(s) - q(t))^2 over batch and positions; q the mean of f^2 over channels, of length 1.

    Zagoruyko and Komodakis, arXiv:1612.03928, equation (2) with F^2_sum. Raises `UserError` for
    features of a single position, whose map is 1 whatever they are.
    """

    def forward(self, hints: Hints) -> Tensor:
        distances = [
            functional.mse_loss(_attention(student), _attention(teacher))
            for student, teacher in pairs(hints)
        ]
        return torch.stack(distances).sum()


def _attention(features: Tensor) -> Tensor:
    """(batch, positions), of length 1 over positions."""
    return unit(spread(features, "at").square().mean(-1))
