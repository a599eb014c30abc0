"""Fresh weights from a generator alone; torch's own constructors would draw from the global one."""

from __future__ import annotations

import torch
from torch import nn

from stillhouse.core.elastic.attention import SelfAttention


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


def _draw(part: nn.Module, generator: torch.Generator) -> None:
    match part:
        case nn.LayerNorm():
            nn.init.ones_(part.weight)
            nn.init.zeros_(part.bias)
        case nn.Embedding():
            nn.init.normal_(part.weight, std=0.02, generator=generator)
        case nn.Linear() | nn.Conv1d():
            nn.init.xavier_uniform_(part.weight, generator=generator)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
        case SelfAttention():
            for weight in part.qkv_weight:
                nn.init.xavier_uniform_(weight, generator=generator)
            nn.init.zeros_(part.qkv_bias)
        case _:
            raise TypeError(f"no rule for the weights of {type(part).__name__}")
