"""Fresh weights from a generator alone; torch's own constructors would draw from the global one."""

from __future__ import annotations

import torch
from torch import nn

from stillhouse.core.elastic.attention import SelfAttention
from stillhouse.core.errors import UserError


@torch.no_grad()
def draw_weights(module: nn.Module, generator: torch.Generator) -> None:
    """Draw every weight of a plain network in place, in the order of its modules.

    Linear, convolution and attention weights are Xavier-uniform (Glorot and Bengio 2010, eq. 16),
    tables normal with deviation 0.02, biases 0, norms 1 and 0. Raises TypeError for a module
    with weights of its own that is none of these.
    """
    for part in module.modules():
        if next(part.parameters(recurse=False), None) is not None:
            _draw(part, generator)


@torch.no_grad()
def redraw_weights(module: nn.Module, generator: torch.Generator) -> None:
    """`draw_weights` for networks of any layers: those without a rule here reset themselves.

    They draw from the global generator, which is seeded from `generator` and given back. Raises
    `UserError` for a module with weights of its own that cannot reset them.
    """
    for part in module.modules():
        if next(part.parameters(recurse=False), None) is None:
            continue
        try:
            _draw(part, generator)
        except TypeError:
            _reset(part, int(torch.randint(2**62, (1,), generator=generator)))


def _reset(part: nn.Module, seed: int) -> None:
    reset = getattr(part, "reset_parameters", getattr(part, "_reset_parameters", None))
    if not callable(reset):
        raise UserError(
            f"no rule for fresh weights of {type(part).__name__}: give it reset_parameters(), or "
            f"keep its weights with preserve_weight=True"
        )
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        reset()


def _draw(part: nn.Module, generator: torch.Generator) -> None:
    match part:
        case nn.LayerNorm() | nn.GroupNorm():
            nn.init.ones_(part.weight)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
        case nn.BatchNorm1d() | nn.BatchNorm2d():
            part.reset_parameters()  # draws nothing: 1 and 0, running statistics too
        case nn.Embedding():
            nn.init.normal_(part.weight, std=0.02, generator=generator)
        case nn.Linear() | nn.Conv1d() | nn.Conv2d():
            nn.init.xavier_uniform_(part.weight, generator=generator)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
        case SelfAttention():
            for weight in part.qkv_weight:
                nn.init.xavier_uniform_(weight, generator=generator)
            nn.init.zeros_(part.qkv_bias)
        case _:
            raise TypeError(f"no rule for the weights of {type(part).__name__}")
