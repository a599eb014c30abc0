"""FitNets: the teacher's features, regressed from the student's."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from stillhouse.core.distill.hint_loss import HintLoss, Hints, HintShapes
from stillhouse.plugins.losses.connector import Connector
from stillhouse.plugins.losses.features import pairs


@final
class FitNets(HintLoss):
    """mean (r(s) - t)^2 over all elements; r a 1x1 convolution with batch normalisation.

    Romero et al., arXiv:1412.6550, equation (3), trained in one stage beside the task.
    """

    def __init__(self, shapes: HintShapes) -> None:
        super().__init__(shapes)
        self.connectors = nn.ModuleList(
            Connector(widest, outputs, norm=True) for widest, outputs in shapes.widths
        )

    def forward(self, hints: Hints) -> Tensor:
        distances = [
            functional.mse_loss(connector(student), teacher)
            for connector, (student, teacher) in zip(self.connectors, pairs(hints), strict=True)
        ]
        return torch.stack(distances).sum()
