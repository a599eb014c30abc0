"""Plain encoders from tensors by name, and what of them is checked before they are believed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from stillhouse.core.errors import UserError
from stillhouse.plugins.models.encoder.constants import Constants, fill_constants
from stillhouse.plugins.models.encoder.network import Encoder, skeleton


def assembled(structure: Mapping[str, Any], state: Mapping[str, Tensor], source: str) -> Encoder:
    """The network of a structure with these weights, in eval mode; its head may be missing.

    Constants that no training changes are computed. Raises `UserError`, naming `source`, for a
    tensor that is missing, too many, or of another shape.
    """
    network = skeleton(structure).to_empty(device="cpu")
    fill_constants(network)
    _check_shapes(network, state, source)
    missing, _ = network.load_state_dict(dict(state), strict=False)
    known = _constants(network)
    lost = [name for name in missing if name not in known and not name.startswith("head.")]
    if lost:
        raise UserError(f"{source}: expected weights for {_some(lost)}, found none")
    return network.eval()


def weights_of(
    structure: Mapping[str, Any], state: Mapping[str, Tensor], source: str
) -> dict[str, Tensor]:
    """Checked weights for `skeleton(structure)`, all but a missing head; raises as `assembled`."""
    found = assembled(structure, state, source).state_dict()
    return {
        name: tensor
        for name, tensor in found.items()
        if name in state or not name.startswith("head.")
    }


def _check_shapes(network: nn.Module, state: Mapping[str, Tensor], source: str) -> None:
    shapes = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    strangers = [name for name in state if name not in shapes]
    if strangers:
        raise UserError(f"{source}: has weights for {_some(strangers)}, the network has not")
    for name, tensor in state.items():
        if tuple(tensor.shape) != shapes[name]:
            raise UserError(
                f"{source}: expected '{name}' of shape {shapes[name]}, came "
                f"{tuple(tensor.shape)}: these are weights of a network of other dimensions"
            )


def _constants(network: nn.Module) -> set[str]:
    return {
        f"{name}.{buffer}"
        for name, part in network.named_modules()
        for buffer, _ in part.named_buffers(recurse=False)
        if isinstance(part, Constants)
    }


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
