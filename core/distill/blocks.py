"""The repeated blocks of any network, found by its module lists: where it is worth tapping."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import final

from torch import Tensor, nn

from stillhouse.core.distill.block_outputs import block_outputs, channel_axis
from stillhouse.core.distill.module_lists import Found, repeated_blocks
from stillhouse.core.errors import UserError

_SHOWN = 4


@final
@dataclass(frozen=True)
class Block:
    """A repeated block: its module name and class, and its stage, from 0 and never decreasing.

    A stage is one of the network's lists of blocks. Where the network was run, `shape` is the
    output's, the batch included, `width` its channels, and a stage ends with each change of shape.
    """

    name: str
    kind: str
    stage: int
    width: int | None = None
    shape: tuple[int, ...] | None = None


def blocks(module: nn.Module, example: Tensor | None = None) -> tuple[Block, ...]:
    """The blocks of a network, in order of depth.

    They are the members of one class of its outermost `ModuleList`s and `Sequential`s, or of the
    stages that those hold (ResNet). Lists of single layers (the convolutions ahead of HuBERT's
    transformer) count only where no list holds larger blocks, and convolutions in a row only where
    no list holds blocks at all. Without an `example`, an input with its batch, depth is the order
    in which modules were registered. With one the network is run, once, in eval mode and without
    gradient, and depth is the order in which blocks run.

    Raises `UserError` where nothing is repeated, or the example does not reach a block.
    """
    found = repeated_blocks(module)
    if not found:
        some = ", ".join(_weighty(module))
        raise UserError(
            f"{type(module).__name__}: found no blocks to tap, no list of two or more modules of "
            f"one class; name modules{f', for example {some}' if some else ''}"
        )
    if example is None:
        return _staged(found, [Block(one.name, type(one.module).__name__, 0) for one in found])
    outputs = block_outputs(module, {one.name: one.module for one in found}, example)
    ran = _by_depth(found, list(outputs))
    return _staged(ran, [_measured(one, outputs[one.name]) for one in ran])


def _by_depth(found: Sequence[Found], order: Sequence[str]) -> list[Found]:
    """Lists in the order in which their first blocks ran, and so the blocks of each."""
    places = {one.name: order.index(one.name) for one in found}
    starts = {one.list: len(order) for one in found}
    for one in found:
        starts[one.list] = min(starts[one.list], places[one.name])
    return sorted(found, key=lambda one: (starts[one.list], places[one.name]))


def _measured(one: Found, output: Tensor) -> Block:
    width = output.shape[channel_axis(one.module, output.ndim)]
    return Block(one.name, type(one.module).__name__, 0, width, tuple(output.shape))


def _staged(found: Sequence[Found], plain: Sequence[Block]) -> tuple[Block, ...]:
    """The blocks with their stages."""
    stages = [0]
    for (one, block), (other, following) in pairwise(zip(found, plain, strict=True)):
        stages.append(stages[-1] + (one.list != other.list or block.shape != following.shape))
    return tuple(replace(block, stage=s) for block, s in zip(plain, stages, strict=True))


def _weighty(module: nn.Module) -> list[str]:
    """A few modules that have weights, the larger first."""
    sizes = Counter(
        {
            name: sum(weight.numel() for weight in part.parameters())
            for name, part in module.named_modules()
            if name
        }
    )
    return [name for name, size in sizes.most_common(_SHOWN) if size]
