"""Layers that are trained in one form and deployed in another."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod

from torch import nn


class LayerForm(nn.Module, ABC):
    """A part of a network that answers alike in two forms: as it is trained, and as it is deployed.

    Exporters to torch programs take the second; all others are given the first.
    """

    @abstractmethod
    def deployed(self) -> nn.Module:
        """A module of equal answers that holds nothing which only training needs."""


def deployed(network: nn.Module) -> nn.Module:
    """A copy of a network, in eval mode, with every `LayerForm` in it as it is deployed."""
    copied = copy.deepcopy(network).eval()
    forms = [name for name, part in copied.named_modules() if isinstance(part, LayerForm)]
    for name in forms:
        form = copied.get_submodule(name)
        assert isinstance(form, LayerForm)  # noqa: S101 - chosen for it above
        new = form.deployed().eval()
        if not name:
            return new
        copied.set_submodule(name, new)
    return copied
