"""What blocks return when a network runs, and which axis of it holds the channels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, is_dataclass

import torch
from torch import Tensor, nn

from stillhouse.core.errors import UserError


def block_outputs(
    network: nn.Module, blocks: Mapping[str, nn.Module], example: Tensor
) -> dict[str, Tensor]:
    """The first tensor that each block returns first, by name, in the order in which blocks end.

    The network runs once, in eval mode and without gradient; its modes are left as they were.
    Raises `UserError` for a block that the example does not reach or that returns no tensor.
    """
    outputs: dict[str, Tensor] = {}
    handles = [
        block.register_forward_hook(
            lambda _module, _inputs, output, name=name: _keep(outputs, name, output)
        )
        for name, block in blocks.items()
    ]
    try:
        with torch.no_grad(), _eval_mode(network):
            network(example)
    finally:
        for handle in handles:
            handle.remove()
    for name in blocks:
        if name not in outputs:
            raise UserError(f"{name}: the example input does not reach this block; name modules")
    return outputs


def channel_axis(block: nn.Module, axes: int) -> int:
    """The axis of the channels in a block's output of so many axes.

    It is 1 after convolutions over all axes of positions, else -1. A block with convolutions and
    linear layers over two or three axes of positions is a convolutional one (ConvNeXt); over one
    axis it is a transformer's if it has a `LayerNorm` (Conformer).
    """
    over: Mapping[int, type[nn.Module]] = {3: nn.Conv1d, 4: nn.Conv2d, 5: nn.Conv3d}
    if axes not in over or not _holds(block, over[axes]):
        return -1
    return -1 if axes == 3 and _holds(block, nn.Linear) and _holds(block, nn.LayerNorm) else 1


def _holds(block: nn.Module, kind: type[nn.Module]) -> bool:
    return any(isinstance(part, kind) for part in block.modules())


@contextmanager
def _eval_mode(network: nn.Module) -> Iterator[None]:
    modes = [(part, part.training) for part in network.modules()]
    try:
        network.eval()
        yield
    finally:
        for part, training in modes:
            part.training = training


def _keep(outputs: dict[str, Tensor], name: str, output: object) -> None:
    tensor = next(_tensors(output), None)
    if tensor is None:
        kind = type(output).__name__
        raise UserError(f"{name}: expected a block that returns a tensor, it returns {kind}")
    outputs.setdefault(name, tensor)


def _tensors(output: object) -> Iterator[Tensor]:
    """All tensors of an output: itself, or those of a tuple, a mapping or a dataclass."""
    if isinstance(output, Tensor):
        yield output
        return
    for part in _parts(output):
        yield from _tensors(part)


def _parts(output: object) -> list[object]:
    if isinstance(output, Mapping):
        return list(output.values())
    if isinstance(output, (tuple, list)):
        return list(output)
    named = fields(output) if is_dataclass(output) else ()
    return [getattr(output, field.name) for field in named]
