"""AB: on which side of zero the teacher's neurons are."""

from __future__ import annotations

from typing import Final, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from stillhouse.core.distill.hint_loss import HintLoss, Hints, HintShapes
from stillhouse.plugins.losses.connector import Connector
from stillhouse.plugins.losses.features import pairs

_MARGIN: Final = 1.0


@final
class AB(HintLoss):
    """|1[t > 0] relu(1 - r(s)) + 1[t <= 0] relu(1 + r(s))|^2, mean over the batch.

    r is a 1x1 convolution with batch normalisation. Heo et al., arXiv:1811.03233: the alternative
    loss with a connector, margin 1. The paper taps layers before their ReLU and trains on this loss
    alone first; here it is a term beside the others.
    """

    def __init__(self, shapes: HintShapes) -> None:
        super().__init__(shapes)
        self.connectors = nn.ModuleList(
            Connector(widest, outputs, norm=True) for widest, outputs in shapes.widths
        )

    def forward(self, hints: Hints) -> Tensor:
        hinges = [
            _hinge(connector(student), teacher)
            for connector, (student, teacher) in zip(self.connectors, pairs(hints), strict=True)
        ]
        return torch.stack(hinges).sum()


def _hinge(student: Tensor, teacher: Tensor) -> Tensor:
    wrong_way = torch.where(teacher > 0, -student, student)
    return functional.relu(_MARGIN + wrong_way).square().flatten(1).sum(1).mean()
