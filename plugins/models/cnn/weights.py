"""Fresh weights of convolutional networks, from a generator alone."""

from __future__ import annotations

import math

import torch
from torch import nn


@torch.no_grad()
def draw_weights(network: nn.Module, generator: torch.Generator) -> None:
    """Draw every weight and reset every statistic in place, in the order of the modules.

    Convolutions are normal with variance 2 / (kernel * outputs / groups) (He et al. 2015, eq. 14);
    the head is Xavier-uniform, its bias 0; norms scale by 1 and shift by 0.
    """
    for part in network.modules():
        match part:
            case nn.Conv1d() | nn.Conv2d():
                fan = math.prod(part.kernel_size) * part.out_channels / part.groups
                nn.init.normal_(part.weight, std=math.sqrt(2 / fan), generator=generator)
            case nn.BatchNorm1d() | nn.BatchNorm2d():
                part.reset_parameters()
            case nn.Linear():
                nn.init.xavier_uniform_(part.weight, generator=generator)
                nn.init.zeros_(part.bias)
