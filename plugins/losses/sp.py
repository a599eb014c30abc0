"""SP: which samples of a batch look alike."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor
from torch.nn import functional

from stillhouse.core.distill.hint_loss import HintLoss, Hints
from stillhouse.plugins.losses.features import pairs, unit


@final
class SP(HintLoss):
    """||G(t) - G(s)||_F^2 / batch^2; G = F F^T with rows of length 1, F a row for each sample.

    Tung and Mori, arXiv:1907.09682, section 3. 0 for a batch of one.
    """

    def forward(self, hints: Hints) -> Tensor:
        distances = [
            functional.mse_loss(_similarities(student), _similarities(teacher))
            for student, teacher in pairs(hints)
        ]
        return torch.stack(distances).sum()


def _similarities(features: Tensor) -> Tensor:
    """(batch, batch)."""
    flat = features.flatten(1)
    return unit(flat @ flat.mT)
