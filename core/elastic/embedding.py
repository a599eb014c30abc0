"""A table of vectors of which only the first columns are used."""

from __future__ import annotations

from typing import Self, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from stillhouse.core.elastic.bounds import check_slice, set_quickly
from stillhouse.core.elastic.copies import copied


@final
class ElasticEmbedding(nn.Module):
    """`nn.Embedding` over a prefix of columns: indices (...) to vectors (..., width).

    The entry at `padding_idx`, if any, has no gradient, as in torch.
    """

    def __init__(self, weight: Tensor, padding_idx: int | None = None) -> None:
        super().__init__()
        self.weight = copied(weight)
        self.width = self._full = weight.shape[1]
        self.padding_idx = padding_idx

    @classmethod
    def from_plain(cls, module: nn.Embedding) -> Self:
        """Raises ValueError for tables with renormalisation, sparse or rescaled gradients."""
        if module.max_norm is not None or module.sparse or module.scale_grad_by_freq:
            raise ValueError(
                f"expected an embedding without max_norm, sparse or scale_grad_by_freq: {module}"
            )
        return cls(module.weight, module.padding_idx)

    @property
    def num_embeddings(self) -> int:
        """As `nn.Embedding` calls it."""
        return self.weight.shape[0]

    @property
    def embedding_dim(self) -> int:
        return self.width

    def set_active(self, width: int) -> None:
        check_slice("ElasticEmbedding", width=(width, self._full))
        set_quickly(self, width=width)

    def table(self) -> Tensor:
        """The active columns of every entry, (entries, width)."""
        return self.weight[:, : self.width].contiguous()

    def forward(self, indices: Tensor) -> Tensor:
        return functional.embedding(indices, self.table(), self.padding_idx)

    def extract(self) -> nn.Embedding:
        entries = self.weight.shape[0]
        table = torch.empty(entries, self.width, device="meta")
        plain = nn.Embedding(entries, self.width, self.padding_idx, _weight=table)
        plain.weight = copied(self.table())
        return plain
