"""Multi-head self-attention, plain and elastic, over one arithmetic."""

from __future__ import annotations

from typing import Self, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from stillhouse.core.elastic.bounds import check_slice, set_quickly
from stillhouse.core.elastic.copies import copied
from stillhouse.core.elastic.linear import ElasticLinear


def attend(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    head_dim: int,
    positions: int,
    mask: Tensor | None = None,
) -> Tensor:
    """Scaled dot-product attention (Vaswani et al. 2017, eq. 1) within each sample of a batch.

    x is (batch * positions, width); `weight` (3, heads * head_dim, width) and `bias`
    (3, heads * head_dim) hold query, key and value, so that one product computes all three.
    `mask`, if any, is broadcastable to (batch, heads, positions, positions): true where a position
    may be attended to, or numbers that are added to the scores. Returns
    (batch * positions, heads * head_dim).
    """
    inner = weight.shape[1]
    projected = functional.linear(x, weight.reshape(-1, weight.shape[2]), bias.reshape(-1))
    split = projected.view(-1, positions, 3, inner // head_dim, head_dim)
    query, key, value = split.permute(2, 0, 3, 1, 4).unbind(0)
    mixed = functional.scaled_dot_product_attention(query, key, value, mask)
    return mixed.transpose(1, 2).reshape(-1, inner)


@final
class SelfAttention(nn.Module):
    """Attention of a batch's samples to themselves; heads need not add up to the width.

    Takes and gives (batch * positions, width): with two axes every product exports as one Gemm,
    with three ONNX Runtime reshapes around each, which costs small networks a tenth of their time.
    """

    def __init__(self, weight: Tensor, bias: Tensor, out: nn.Linear, head_dim: int) -> None:
        super().__init__()
        self.qkv_weight, self.qkv_bias = nn.Parameter(weight), nn.Parameter(bias)
        self.out, self.head_dim = out, head_dim

    @classmethod
    def sized(cls, width: int, heads: int, head_dim: int) -> Self:
        """A skeleton on the meta device, to be given weights."""
        inner = heads * head_dim
        weight = torch.empty(3, inner, width, device="meta")
        bias = torch.empty(3, inner, device="meta")
        return cls(weight, bias, nn.Linear(inner, width, device="meta"), head_dim)

    def forward(self, x: Tensor, positions: int, mask: Tensor | None = None) -> Tensor:
        mixed = attend(x, self.qkv_weight, self.qkv_bias, self.head_dim, positions, mask)
        out: Tensor = self.out(mixed)
        return out


@final
class ElasticAttention(nn.Module):
    """`SelfAttention` over the first `width` features and the first `heads` heads.

    The head width is fixed, so heads are nested whole (as in AutoFormer, Chen et al. 2021, and
    LightHuBERT, Wang et al. 2022).
    """

    def __init__(self, weight: Tensor, bias: Tensor, out: ElasticLinear, head_dim: int) -> None:
        super().__init__()
        self.qkv_weight, self.qkv_bias = copied(weight), copied(bias)
        self.out, self.head_dim = out, head_dim
        self.heads, self.width = weight.shape[1] // head_dim, weight.shape[2]
        self._full = self.width, self.heads

    @classmethod
    def from_plain(cls, module: SelfAttention) -> Self:
        out = ElasticLinear.from_plain(module.out)
        return cls(module.qkv_weight, module.qkv_bias, out, module.head_dim)

    def set_active(self, width: int, heads: int) -> None:
        full_width, full_heads = self._full
        check_slice("ElasticAttention", width=(width, full_width), heads=(heads, full_heads))
        set_quickly(self, width=width, heads=heads)
        self.out.set_active(heads * self.head_dim, width)

    def slices(self) -> tuple[Tensor, Tensor]:
        """Active weight (3, heads * head_dim, width) and bias (3, heads * head_dim)."""
        inner = self.heads * self.head_dim
        weight = self.qkv_weight[:, :inner, : self.width].contiguous()
        return weight, self.qkv_bias[:, :inner].contiguous()

    def forward(self, x: Tensor, positions: int, mask: Tensor | None = None) -> Tensor:
        out: Tensor = self.out(attend(x, *self.slices(), self.head_dim, positions, mask))
        return out

    def extract(self) -> SelfAttention:
        weight, bias = self.slices()
        out = self.out.extract()
        return SelfAttention(weight.detach().clone(), bias.detach().clone(), out, self.head_dim)
