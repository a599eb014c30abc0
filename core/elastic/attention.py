"""Multi-head self-attention, plain and elastic, over one arithmetic."""

from __future__ import annotations

from typing import Self, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from stillhouse.core.elastic.bounds import check_slice
from stillhouse.core.elastic.copies import copied
from stillhouse.core.elastic.linear import ElasticLinear


def attend(x: Tensor, weight: Tensor, bias: Tensor, head_dim: int) -> Tensor:
    """Scaled dot-product attention (Vaswani et al. 2017, eq. 1) of x (batch, positions, width).

    `weight` (3, heads * head_dim, width) and `bias` (3, heads * head_dim) hold query, key and
    value, so that one product computes all three. Returns (batch, positions, heads * head_dim).
    """
    projected = functional.linear(x, weight.flatten(0, 1), bias.flatten())
    split = projected.unflatten(-1, (3, -1, head_dim))
    query, key, value = split.permute(2, 0, 3, 1, 4).unbind(0)
    scores = (query * head_dim**-0.5) @ key.transpose(-2, -1)
    return (scores.softmax(-1) @ value).transpose(1, 2).flatten(2)


@final
class SelfAttention(nn.Module):
    """Attention of (batch, positions, width) to itself; heads need not add up to the width."""

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

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.out(attend(x, self.qkv_weight, self.qkv_bias, self.head_dim))
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

    @classmethod
    def from_plain(cls, module: SelfAttention) -> Self:
        out = ElasticLinear.from_plain(module.out)
        return cls(module.qkv_weight, module.qkv_bias, out, module.head_dim)

    def set_active(self, width: int, heads: int) -> None:
        _, inner, full_width = self.qkv_weight.shape
        full_heads = inner // self.head_dim
        check_slice("ElasticAttention", width=(width, full_width), heads=(heads, full_heads))
        self.width, self.heads = width, heads
        self.out.set_active(heads * self.head_dim, width)

    def slices(self) -> tuple[Tensor, Tensor]:
        """Active weight (3, heads * head_dim, width) and bias (3, heads * head_dim)."""
        inner = self.heads * self.head_dim
        weight = self.qkv_weight[:, :inner, : self.width].contiguous()
        return weight, self.qkv_bias[:, :inner].contiguous()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.out(attend(x, *self.slices(), self.head_dim))
        return out

    def extract(self) -> SelfAttention:
        weight, bias = self.slices()
        out = self.out.extract()
        return SelfAttention(weight.detach().clone(), bias.detach().clone(), out, self.head_dim)
