"""Rounding to integers in the forward pass, and what stands for its gradient."""

from __future__ import annotations

from typing import Any, Final, final

import torch
from torch import Tensor

_MOST: Final = 2**31 - 128
"""The largest 32-bit whole number that single precision has."""


def rounded_weight(weight: Tensor, log_step: Tensor, most: int) -> Tensor:
    """Each row as whole multiples of its step, -most to most of them; like `weight`.

    `weight` is (outputs, ...), `log_step` (outputs,) the natural logarithm of the steps. Gradients
    are those of `_RoundedWeight`.
    """
    if torch.is_grad_enabled():
        out: Tensor = _RoundedWeight.apply(weight, log_step, most)  # type: ignore[no-untyped-call]
        return out
    return _multiples(weight, log_step, most)[2]


def rounded_activation(x: Tensor, step: Tensor, zero: Tensor, most: int) -> Tensor:
    """`x` at the nearest of the numbers step * (0 - zero), ..., step * (most - zero).

    The straight-through gradient (Bengio et al. 2013, arXiv:1308.3432): 1 where `x` is rounded to
    one of them, 0 beyond. Ties go to the even number, as in ONNX.
    """
    if torch.is_grad_enabled():
        out: Tensor = _RoundedActivation.apply(x, step, zero, most)  # type: ignore[no-untyped-call]
        return out
    return _nearest(x, step, zero, most)[1]


def rounded_bias(bias: Tensor, step: Tensor) -> Tensor:
    """32-bit whole multiples of a step, as integer kernels add them; gradient 1 for `bias`."""
    with torch.no_grad():
        moved = (bias / step).round().clamp(-_MOST, _MOST) * step - bias
    return bias + moved


def _multiples(weight: Tensor, log_step: Tensor, most: int) -> tuple[Tensor, Tensor, Tensor]:
    """Weights in steps, before and after rounding, and the result."""
    step = log_step.exp().view(-1, *(1,) * (weight.ndim - 1))
    scaled = weight / step
    whole = scaled.round().clamp(-most, most)
    return scaled, whole, whole * step


def _nearest(x: Tensor, step: Tensor, zero: Tensor, most: int) -> tuple[Tensor, Tensor]:
    level = (x / step).round() + zero
    return level, (level.clamp(0, most) - zero) * step


@final
class _RoundedWeight(torch.autograd.Function):
    """The learned step of LSQ (Esser et al. 2020, arXiv:1902.08153, eq. 3), of its logarithm.

    A weight's gradient is 1 where it is rounded to a level, 0 beyond the last one. A step's is
    round(w / s) - w / s there and the last level beyond. Of the logarithm an optimiser such as Adam
    makes steps in proportion (Jain et al. 2020, arXiv:1903.08066, sec. 3.2 and 5.1).
    """

    @staticmethod
    def forward(ctx: Any, weight: Tensor, log_step: Tensor, most: int) -> Tensor:
        scaled, whole, out = _multiples(weight, log_step, most)
        ctx.save_for_backward(scaled, whole, log_step)
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        scaled, whole, log_step = ctx.saved_tensors
        (gradient,) = gradients
        inside = scaled.round() == whole
        slope = torch.where(inside, whole - scaled, whole)
        of_step = (gradient * slope).flatten(1).sum(1)
        return gradient * inside, of_step * log_step.exp(), None


@final
class _RoundedActivation(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, step: Tensor, zero: Tensor, most: int) -> Tensor:
        level, out = _nearest(x, step, zero, most)
        ctx.save_for_backward((level >= 0) & (level <= most))
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        (inside,) = ctx.saved_tensors
        return gradients[0] * inside, None, None, None
