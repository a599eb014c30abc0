"""VID: the teacher's features under a Gaussian that the student predicts."""

from __future__ import annotations

import math
from typing import Final, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from stillhouse.core.distill.hint_loss import HintLoss, Hints, HintShapes
from stillhouse.plugins.losses.connector import Connector
from stillhouse.plugins.losses.features import pairs

_VARIANCE: Final = 5.0
_EPS: Final = 1e-5


@final
class VID(HintLoss):
    """mean of ((mu(s) - t)^2 / sigma^2 + log sigma^2) / 2 over all elements.

    mu is three 1x1 convolutions with ReLU between, as wide as the teacher; sigma^2 =
    softplus(rho) + 1e-5 for each channel, 5 at the start. The value may be negative. Ahn et al.,
    arXiv:1904.05835: the negative log-likelihood of its Gaussian, without the constant.
    """

    def __init__(self, shapes: HintShapes) -> None:
        super().__init__(shapes)
        self.gaussians = nn.ModuleList(_Gaussian(*widths) for widths in shapes.widths)

    def forward(self, hints: Hints) -> Tensor:
        surprises = [
            gaussian(student, teacher)
            for gaussian, (student, teacher) in zip(self.gaussians, pairs(hints), strict=True)
        ]
        return torch.stack(surprises).sum()


@final
class _Gaussian(nn.Module):
    def __init__(self, widest: int, outputs: int) -> None:
        super().__init__()
        self.mean = nn.Sequential(
            Connector(widest, outputs),
            nn.ReLU(),
            Connector(outputs, outputs),
            nn.ReLU(),
            Connector(outputs, outputs),
        )
        start = math.log(math.expm1(_VARIANCE - _EPS))
        self.rho = nn.Parameter(torch.full((outputs,), start))

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        variance = functional.softplus(self.rho) + _EPS
        squares: Tensor = (self.mean(student) - teacher).square()
        return (squares / variance + variance.log()).mean() / 2
