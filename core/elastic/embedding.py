"""A table of vectors of which only the first columns are used."""

from __future__ import annotations

from typing import Self, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from stillhouse.core.elastic.bounds import check_slice
from stillhouse.core.elastic.copies import copied


@final
class ElasticEmbedding(nn.Module):
    """`nn.Embedding` over a prefix of columns: indices (...) to vectors (..., width)."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = copied(weight)
        self.width = weight.shape[1]

    @classmethod
    def from_plain(cls, module: nn.Embedding) -> Self:
        """Raises ValueError for tables with padding, renormalisation or sparse gradients."""
        if module.padding_idx is not None or module.max_norm is not None or module.sparse:
            raise ValueError(f"expected an embedding without padding or max_norm, got {module}")
        return cls(module.weight)

    def set_active(self, width: int) -> None:
        check_slice("ElasticEmbedding", width=(width, self.weight.shape[1]))
        self.width = width

    def table(self) -> Tensor:
        """The active columns of every entry, (entries, width)."""
        return self.weight[:, : self.width].contiguous()

    def forward(self, indices: Tensor) -> Tensor:
        return functional.embedding(indices, self.table())

    def extract(self) -> nn.Embedding:
        entries = self.weight.shape[0]
        table = torch.empty(entries, self.width, device="meta")
        plain = nn.Embedding(entries, self.width, _weight=table)
        plain.weight = copied(self.table())
        return plain
