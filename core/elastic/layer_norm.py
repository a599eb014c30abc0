"""Layer normalisation over the first features of its weights."""

from __future__ import annotations

from typing import Self, final

from torch import Tensor, nn
from torch.nn import functional

from stillhouse.core.elastic.bounds import check_slice, set_quickly
from stillhouse.core.elastic.copies import copied


@final
class ElasticLayerNorm(nn.Module):
    """`nn.LayerNorm` whose mean and variance are those of the active prefix (..., width)."""

    def __init__(self, weight: Tensor, bias: Tensor, eps: float) -> None:
        super().__init__()
        self.weight, self.bias, self.eps = copied(weight), copied(bias), eps
        self.width = self._full = weight.shape[0]

    @classmethod
    def from_plain(cls, module: nn.LayerNorm) -> Self:
        """Raises ValueError for a norm over several axes or without scale and bias."""
        if len(module.normalized_shape) != 1 or module.weight is None or module.bias is None:
            raise ValueError(f"expected a norm over one axis with scale and bias, got {module}")
        return cls(module.weight, module.bias, module.eps)

    @property
    def normalized_shape(self) -> tuple[int]:
        """As `nn.LayerNorm` calls it."""
        return (self.width,)

    def set_active(self, width: int) -> None:
        check_slice("ElasticLayerNorm", width=(width, self._full))
        set_quickly(self, width=width)

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = self.weight[: self.width], self.bias[: self.width]
        return functional.layer_norm(x, (self.width,), weight, bias, self.eps)

    def extract(self) -> nn.LayerNorm:
        plain = nn.LayerNorm(self.width, self.eps, device="meta")
        plain.weight = copied(self.weight[: self.width])
        plain.bias = copied(self.bias[: self.width])
        return plain
