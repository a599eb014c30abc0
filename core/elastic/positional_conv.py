"""Positions by a grouped convolution, as HuBERT has them, plain and elastic."""

from __future__ import annotations

from typing import Self, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from stillhouse.core.elastic.conv1d import ElasticConv1d


def _positioned(x: Tensor, conv: nn.Module, kernel: int) -> Tensor:
    """x + gelu(conv(x)) over (batch, positions, width); an even kernel's last output is dropped.

    Baevski et al. 2020 (wav2vec 2.0), sec. 2; padding is half the kernel on either side.
    """
    y: Tensor = conv(x.transpose(1, 2))
    if kernel % 2 == 0:
        y = y[:, :, :-1]
    return x + functional.gelu(y).transpose(1, 2)


@final
class PositionalConv(nn.Module):
    """Adds to every position what a grouped convolution sees around it.

    Its weight is as it multiplies: weight normalisation, if there was any, is resolved before.
    """

    def __init__(self, conv: nn.Conv1d) -> None:
        super().__init__()
        self.conv = conv

    @classmethod
    def sized(cls, width: int, kernel: int, groups: int) -> Self:
        """A skeleton on the meta device, to be given weights."""
        padding, meta = kernel // 2, torch.device("meta")
        return cls(nn.Conv1d(width, width, kernel, padding=padding, groups=groups, device=meta))

    def forward(self, x: Tensor) -> Tensor:
        return _positioned(x, self.conv, self.conv.kernel_size[0])


@final
class ElasticPositionalConv(nn.Module):
    """`PositionalConv` over the first `width` features: W[:width, :width / groups, :].

    Every group keeps its first channels' weights, as in LightHuBERT (Wang et al. 2022); the
    channels they are applied to are not those of the full network.
    """

    def __init__(self, conv: ElasticConv1d) -> None:
        super().__init__()
        self.conv = conv

    @classmethod
    def from_plain(cls, module: PositionalConv) -> Self:
        return cls(ElasticConv1d.from_plain(module.conv))

    def set_active(self, width: int) -> None:
        """Raises `UserError` beyond the weights and for a width that the groups do not divide."""
        self.conv.set_active(width, width)

    def forward(self, x: Tensor) -> Tensor:
        return _positioned(x, self.conv, self.conv.kernel[0])

    def extract(self) -> PositionalConv:
        return PositionalConv(self.conv.extract())
