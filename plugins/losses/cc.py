"""CC: how samples of a batch correlate, under a Gaussian kernel."""

from __future__ import annotations

import math
from typing import Final, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from stillhouse.core.distill.hint_loss import HintLoss, Hints, HintShapes
from stillhouse.plugins.losses.connector import Connector
from stillhouse.plugins.losses.features import means, pairs, unit

_WIDTH: Final = 128
_GAMMA: Final = 0.4
_ORDER: Final = 2


@final
class CC(HintLoss):
    """||C(t) - C(e(s))||_F^2 / batch^2, C_ij = sum_{p=0}^{2} e^(-2g) (2g)^p / p! (f_i . f_j)^p.

    f are means over positions, of length 1; C is the Taylor series of exp(-g |f_i - f_j|^2) with
    g = 0.4. e is a linear map to 128 channels. Peng et al., arXiv:1904.01802.
    The paper's teacher has such a map too, trained with the teacher. A given teacher has none, and
    one trained here could agree with the student by mapping everything to one point, so the
    teacher's features stand for themselves. 0 for a batch of one, unless features are zero.
    """

    def __init__(self, shapes: HintShapes) -> None:
        super().__init__(shapes)
        self.embeddings = nn.ModuleList(Connector(widest, _WIDTH) for widest, _ in shapes.widths)

    def forward(self, hints: Hints) -> Tensor:
        distances = [
            functional.mse_loss(_correlations(embed(means(student))), _correlations(means(teacher)))
            for embed, (student, teacher) in zip(self.embeddings, pairs(hints), strict=True)
        ]
        return torch.stack(distances).sum()


def _correlations(vectors: Tensor) -> Tensor:
    """(batch, width) to (batch, batch)."""
    directions = unit(vectors)
    cosines = directions @ directions.mT
    series = [(2 * _GAMMA) ** p / math.factorial(p) * cosines**p for p in range(_ORDER + 1)]
    return math.exp(-2 * _GAMMA) * torch.stack(series).sum(0)
