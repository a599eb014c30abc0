"""Weights that change hands are copied, so that no two modules ever share storage."""

from __future__ import annotations

from torch import Tensor, nn


def copied(weight: Tensor) -> nn.Parameter:
    """A contiguous trainable copy with its own storage, on the same device."""
    return nn.Parameter(weight.detach().clone().contiguous())
