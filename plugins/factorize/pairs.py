"""Two thin layers that stand for one."""

from __future__ import annotations

from typing import final

from torch import Tensor, nn
from torch.nn import functional

from stillhouse.core.elastic import SelfAttention
from stillhouse.plugins.layers.matrices import Layer, Part

Pair = tuple[Tensor, Tensor]
"""(rank, inputs times kernel), (outputs, rank)."""
Thin = nn.Linear | nn.Conv1d | nn.Conv2d


def thin(layer: Layer, first: Tensor, second: Tensor) -> nn.Sequential:
    """Two layers with a product of two matrices for one; the second has the bias."""
    weight, bias, rank = layer.weight, layer.bias, len(first)
    inner, outer = _shapes(layer.part, rank, len(second), bias is not None)
    for part, matrix in ((inner, first), (outer, second)):
        like = part.weight.shape
        values = matrix.to(weight.device, weight.dtype).reshape(like).contiguous()
        part.weight = nn.Parameter(values.clone(), weight.requires_grad)
    if bias is not None:
        outer.bias = nn.Parameter(bias.detach().clone(), bias.requires_grad)
    return nn.Sequential(inner, outer)


def _shapes(part: Part, rank: int, outputs: int, bias: bool) -> tuple[Thin, Thin]:
    """On the meta device, where torch draws no weights from its global generator."""
    if isinstance(part, (nn.Conv1d, nn.Conv2d)):
        kind = type(part)
        return (
            inner_convolution(part, rank),
            kind(rank, outputs, 1, bias=bias, device="meta"),
        )
    inputs = part.qkv_weight.shape[2] if isinstance(part, SelfAttention) else part.in_features
    inner = nn.Linear(inputs, rank, bias=False, device="meta")
    return inner, nn.Linear(rank, outputs, bias=bias, device="meta")


def inner_convolution(part: nn.Conv1d | nn.Conv2d, rank: int) -> nn.Conv1d | nn.Conv2d:
    """The convolution as it is, to `rank` channels; stride and padding are the first layer's."""
    given = {
        name: getattr(part, name)
        for name in ("kernel_size", "stride", "padding", "dilation", "padding_mode")
    }
    return type(part)(part.in_channels, rank, bias=False, device="meta", **given)


@final
class FactorisedAttention(nn.Module):
    """`SelfAttention` whose query, key and value come from one module, such as two thin layers.

    Takes and gives (batch * positions, width), as that does.
    """

    def __init__(self, qkv: nn.Module, plain: SelfAttention) -> None:
        super().__init__()
        self.qkv, self.out, self.head_dim = qkv, plain.out, plain.head_dim

    def forward(self, x: Tensor, positions: int, mask: Tensor | None = None) -> Tensor:
        projected = self.qkv(x)
        inner = projected.shape[1] // 3
        split = projected.view(-1, positions, 3, inner // self.head_dim, self.head_dim)
        query, key, value = split.permute(2, 0, 3, 1, 4).unbind(0)
        mixed = functional.scaled_dot_product_attention(query, key, value, mask)
        out: Tensor = self.out(mixed.transpose(1, 2).reshape(-1, inner))
        return out
