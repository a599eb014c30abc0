"""What answers at an exit."""

from __future__ import annotations

import math
from typing import Literal, final

import torch
from torch import Tensor, nn

Pool = Literal["mean", "first"]


@final
class ExitHead(nn.Module):
    """Features (batch, ..., width) to logits (batch, classes): pool, layer norm, linear.

    `pool` is the mean over positions, or the first position, which is never padding.
    """

    def __init__(self, width: int, classes: int, pool: Pool) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, device="meta")
        self.linear = nn.Linear(width, classes, device="meta")
        self.pool = pool

    def forward(self, features: Tensor) -> Tensor:
        rows = features.flatten(1, -2) if features.ndim > 2 else features[:, None]
        pooled = rows.mean(1) if self.pool == "mean" else rows[:, 0]
        logits: Tensor = self.linear(self.norm(pooled))
        return logits


def drawn(head: ExitHead, generator: torch.Generator) -> ExitHead:
    """The head with fresh weights, drawn as torch draws those of a linear layer."""
    head = head.to_empty(device="cpu")
    with torch.no_grad():
        head.norm.weight.fill_(1.0)
        head.norm.bias.zero_()
        bound = 1 / math.sqrt(head.linear.in_features)
        for weight in (head.linear.weight, head.linear.bias):
            weight.uniform_(-bound, bound, generator=generator)
    return head
