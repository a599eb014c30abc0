"""Signs with a straight-through gradient, and rows of them packed into bytes."""

from __future__ import annotations

from typing import Any, Final

import torch
from torch import Tensor
from torch.nn import functional

_BYTE: Final = 8


class _StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, clip: float) -> Tensor:
        ctx.save_for_backward(x.abs() <= clip)
        return _sign(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (inside,) = ctx.saved_tensors
        return gradients[0] * inside, None


def sign(x: Tensor, clip: float) -> Tensor:
    """+1 where x is at least 0, else -1; the gradient is 1 where |x| is at most `clip`, else 0.

    The straight-through estimator (Hubara et al. 2016, arXiv:1602.02830, eq. 4).
    """
    if torch.is_grad_enabled() and x.requires_grad:
        signs: Tensor = _StraightThrough.apply(x, clip)  # type: ignore[no-untyped-call]
        return signs
    return _sign(x)


def _sign(x: Tensor) -> Tensor:
    one = x.new_ones(())
    return torch.where(x >= 0, one, -one)


def packed(rows: Tensor) -> Tensor:
    """(rows, entries) of signs as (rows, ceil(entries / 8)) bytes.

    Bit i of byte j is 1 where entry 8j + i is positive; bits past the last entry are 0.
    """
    bits = functional.pad((rows > 0).to(torch.uint8), (0, -rows.shape[1] % _BYTE))
    places = torch.arange(_BYTE, dtype=torch.uint8, device=rows.device)
    apart = bits.reshape(len(bits), bits.shape[1] // _BYTE, _BYTE)
    return (apart << places).sum(2, dtype=torch.uint8)


def unpacked(stored: Tensor, entries: int) -> Tensor:
    """What `packed` was given, as (rows, entries) of 1.0 and -1.0."""
    places = torch.arange(_BYTE, dtype=torch.uint8, device=stored.device)
    bits = (stored[:, :, None] >> places) & 1
    return bits.flatten(1)[:, :entries].float() * 2 - 1
