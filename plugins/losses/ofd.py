"""OFD: the teacher's features, where they or the student's errors matter."""

from __future__ import annotations

from typing import cast, final

import torch
from torch import Tensor, nn

from stillhouse.core.distill.hint_loss import HintLoss, Hints, HintShapes
from stillhouse.plugins.losses.connector import Connector
from stillhouse.plugins.losses.features import pairs


@final
class OFD(HintLoss):
    """sum_i 2^-(n-1-i) |(r(s) - t_m)^2 kept where r(s) > t_m or t_m > 0|, mean over the batch.

    t_m = max(t, m_c) is the margin ReLU, m_c the mean of channel c's negative features; r is a 1x1
    convolution with batch normalisation. Heo et al., arXiv:1904.01866, with the weights of taps in
    its code. The paper taps layers before their ReLU and computes m_c from the teacher's batch
    normalisation; here `begin` takes it from the first batch, 0 for a channel that is never
    negative.
    """

    def __init__(self, shapes: HintShapes) -> None:
        super().__init__(shapes)
        self.distances = nn.ModuleList(_PartialL2(*widths) for widths in shapes.widths)

    def begin(self, hints: Hints) -> None:
        for distance, (_, teacher) in zip(self.distances, pairs(hints), strict=True):
            cast("_PartialL2", distance).margins.copy_(_negative_means(teacher))

    def forward(self, hints: Hints) -> Tensor:
        last = len(self.distances) - 1
        distances = [
            distance(student, teacher) / 2 ** (last - i)
            for i, (distance, (student, teacher)) in enumerate(
                zip(self.distances, pairs(hints), strict=True)
            )
        ]
        return torch.stack(distances).sum()


@final
class _PartialL2(nn.Module):
    margins: Tensor

    def __init__(self, widest: int, outputs: int) -> None:
        super().__init__()
        self.connector = Connector(widest, outputs, norm=True)
        self.register_buffer("margins", torch.zeros(outputs))

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        own: Tensor = self.connector(student)
        target = teacher.maximum(self.margins)
        kept = (own > target) | (target > 0)
        return ((own - target).square() * kept).flatten(1).sum(1).mean()


def _negative_means(features: Tensor) -> Tensor:
    """(channels,), 0 where no feature is negative."""
    rows = features.flatten(0, -2)
    return rows.clamp(max=0).sum(0) / (rows < 0).sum(0).clamp(min=1)
