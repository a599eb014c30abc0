"""All that a network in training holds: its state, and what its state leaves out."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn


def held(module: nn.Module) -> dict[str, Tensor]:
    """The state dict and, beside it, parameters that are no part of it.

    A layer may keep out of its state what only training needs, such as the real weights behind
    binary ones; training that goes on from a checkpoint needs them too.
    """
    state: dict[str, Tensor] = module.state_dict()
    parameters = module.named_parameters()
    return {**state, **{name: p.detach() for name, p in parameters if name not in state}}


def take(module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Give a network what `held` gave. Raises RuntimeError for tensors that do not fit."""
    state = module.state_dict().keys()
    apart = {name: p for name, p in module.named_parameters() if name not in state}
    if missing := apart.keys() - tensors.keys():
        raise RuntimeError(f"expected the parameters {sorted(missing)}, got none of them")
    module.load_state_dict({name: t for name, t in tensors.items() if name not in apart})
    with torch.no_grad():
        for name, parameter in apart.items():
            parameter.copy_(tensors[name])
