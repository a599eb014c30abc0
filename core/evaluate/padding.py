"""Inputs that are filled up to one length, and which of a network's positions are real."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn


class Padded(ABC):
    """A network, a `torch.nn.Module`, that may be given inputs with padding and does not read it.

    What it shows at padded positions means nothing: means over positions leave them out.
    """

    @abstractmethod
    def real_positions(self, inputs: Tensor) -> Tensor | None:
        """Bool (batch, positions) of the inputs, true where not padding; None where all are real.

        The positions are those that its taps show.
        """


def real_positions(module: nn.Module, inputs: Tensor) -> Tensor | None:
    """What the network says of the inputs; None for a network that knows no padding."""
    return module.real_positions(inputs) if isinstance(module, Padded) else None
