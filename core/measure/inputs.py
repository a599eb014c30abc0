"""Inputs of whole numbers, such as token ids: what they may be where no real ones are at hand.

Made-up floating-point inputs are normally distributed. Whole numbers index tables, and 0 often
means "nothing here": made-up ones lie in the range of real ones, 0 left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import torch
from torch import Tensor

Ids = tuple[int, int]
"""The lowest and the highest of real inputs, 0 left out."""
FLOAT: Final = "float32"


def ids_of(inputs: Tensor) -> Ids | None:
    """The range of whole-number inputs; None for floating-point ones."""
    if inputs.is_floating_point():
        return None
    some = inputs[inputs != 0]
    return (int(some.min()), int(some.max())) if len(some) else (0, 0)


def drawn(
    shape: Sequence[int], dtype: torch.dtype, ids: Ids | None, generator: torch.Generator
) -> Tensor:
    """Made-up inputs of a shape, on the CPU; whole numbers of unknown range are zeros."""
    if dtype.is_floating_point:
        return torch.randn(tuple(shape), generator=generator).to(dtype)
    low, high = ids or (0, 0)
    return torch.randint(low, high + 1, tuple(shape), generator=generator).to(dtype)


def facts(inputs: Tensor) -> dict[str, Any]:
    """JSON-able: the inputs' type, and the range of whole numbers."""
    ids = ids_of(inputs)
    dtype = str(inputs.dtype).removeprefix("torch.")
    return {"dtype": dtype} if ids is None else {"dtype": dtype, "ids": list(ids)}


def drawn_as(known: Mapping[str, Any], shape: Sequence[int], generator: torch.Generator) -> Tensor:
    """Made-up inputs for what `facts` said. ValueError for anything else."""
    dtype = getattr(torch, str(known.get("dtype", FLOAT)), None)
    ids = known.get("ids", [0, 0])
    whole = isinstance(ids, list) and len(ids) == 2 and all(type(i) is int for i in ids)
    if not isinstance(dtype, torch.dtype) or not whole or not ids[0] <= ids[1]:
        raise ValueError(f"expected a torch type and the range of its numbers, got {dict(known)}")
    return drawn(shape, dtype, (ids[0], ids[1]), generator)


def at_length(inputs: Tensor, length: int) -> Tensor:
    """Inputs (batch, frames, ...) cut or repeated along the frames to another length."""
    return inputs[:, torch.arange(length) % inputs.shape[1]]
