"""Weights that follow from a part's shape: stored with the others, never trained."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import nn


class Constants(ABC):
    """A module with buffers whose values its shape decides.

    They are in the state dict, so that a file holds all that runs, but are no parameters; the
    operator sheet counts their bytes (`fixed`).
    """

    @abstractmethod
    def fill(self) -> None:
        """Write the values in place, on the device where the buffers are."""


@torch.no_grad()
def fill_constants(module: nn.Module) -> None:
    """Write every constant of a network that was made without values."""
    for part in module.modules():
        if isinstance(part, Constants):
            part.fill()
