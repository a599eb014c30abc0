"""FSP: how features flow from one layer to the next."""

from __future__ import annotations

from itertools import pairwise
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from stillhouse.core.distill.hint_loss import HintLoss, Hints, HintShapes
from stillhouse.core.errors import UserError
from stillhouse.plugins.losses.connector import Connector
from stillhouse.plugins.losses.features import pairs, positions


@final
class FSP(HintLoss):
    """mean (G(s_i, s_i+1) - G(t_i, t_i+1))^2, summed over consecutive taps; G = F_i^T F_i+1 / n.

    n positions, averaged to the fewer where two taps differ. Yim et al., CVPR 2017, equations (1)
    and (2). G of the two networks must be of one size: where a pair's channels differ, the
    student's features pass a 1x1 convolution; where they are equal there is no adapter, and a
    student of fewer active channels is compared with the same rows and columns of the teacher's.

    Raises `UserError` for a single pair of taps, and for consecutive taps of which one has frames
    and the other rows and columns.
    """

    def __init__(self, shapes: HintShapes) -> None:
        super().__init__(shapes)
        if len(shapes.widths) < 2:
            raise UserError(
                f"loss fsp compares consecutive layers and needs two hints or more, got "
                f"{len(shapes.widths)}; ask for more hints, or choose another loss"
            )
        self.connectors = nn.ModuleList(
            nn.Identity() if widest == outputs else Connector(widest, outputs)
            for widest, outputs in shapes.widths
        )

    def forward(self, hints: Hints) -> Tensor:
        student, teacher = [], []
        for connector, (own, other) in zip(self.connectors, pairs(hints), strict=True):
            student.append(connector(own))
            teacher.append(other[..., : student[-1].shape[-1]])
        flows = zip(_flows(student), _flows(teacher), strict=True)
        return torch.stack([functional.mse_loss(own, other) for own, other in flows]).sum()


def _flows(layers: list[Tensor]) -> list[Tensor]:
    """(batch, channels, next channels) for each pair of consecutive layers."""
    flows = []
    for one, following in pairwise(layers):
        wanted = _fewer(one.shape[1:-1], following.shape[1:-1])
        before, after = (positions(_pooled(x, wanted)) for x in (one, following))
        flows.append(before.mT @ after / before.shape[1])
    return flows


def _fewer(one: torch.Size, other: torch.Size) -> list[int]:
    if len(one) != len(other):
        raise UserError(
            f"loss fsp needs consecutive layers with the same axes, got positions {tuple(one)} "
            f"and {tuple(other)}; choose layers of one kind, or another loss"
        )
    return [min(sizes) for sizes in zip(one, other, strict=True)]


def _pooled(features: Tensor, wanted: list[int]) -> Tensor:
    if list(features.shape[1:-1]) == wanted:
        return features
    first = features.movedim(-1, 1)
    if len(wanted) == 1:
        return functional.adaptive_avg_pool1d(first, wanted).movedim(1, -1)
    rows, columns = wanted
    return functional.adaptive_avg_pool2d(first, (rows, columns)).movedim(1, -1)
