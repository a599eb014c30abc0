"""Token ids: one look-up in a table of word vectors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from stillhouse.core.cost.sheet import Cells, Operator
from stillhouse.core.elastic import ElasticEmbedding
from stillhouse.core.errors import UserError
from stillhouse.plugins.models.encoder.front_ends.contract import ElasticPart, Facts, FrontEnd


@final
class WordTable(nn.Module):
    """Ids (batch, tokens), int64, to vectors (batch, tokens, width).

    BERT's token type of a first segment is part of every vector: no second table, no sum.
    """

    def __init__(self, table: nn.Embedding) -> None:
        super().__init__()
        self.table = table

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.table(x)
        return out


@final
class ElasticWordTable(ElasticPart):
    """`WordTable` over the first features of every vector."""

    def __init__(self, plain: WordTable) -> None:
        super().__init__()
        self.table = ElasticEmbedding.from_plain(plain.table)

    def set_active(self, width: int) -> None:
        self.table.set_active(width)

    def forward(self, x: Tensor) -> Tensor:
        # Looked up whole, then cut: a cut table would be a copy of tens of megabytes a batch.
        return functional.embedding(x, self.table.weight)[..., : self.table.width].contiguous()

    def extract(self) -> WordTable:
        return WordTable(self.table.extract())


@final
class Tokens(FrontEnd):
    """Facts: `vocabulary`, the number of token ids. Inputs are (tokens,)."""

    kind = "tokens"

    def skeleton(self, facts: Facts, width: int) -> WordTable:
        weight = torch.empty(facts["vocabulary"], width, device="meta")
        return WordTable(nn.Embedding(facts["vocabulary"], width, _weight=weight))

    def elastic(self, plain: nn.Module) -> ElasticWordTable:
        if not isinstance(plain, WordTable):
            raise TypeError(f"expected a WordTable, came {type(plain).__name__}")
        return ElasticWordTable(plain)

    def positions(self, facts: Facts, input_shape: Sequence[int]) -> int:
        """One for each token; `UserError` unless the inputs are (tokens,)."""
        if len(input_shape) != 1 or input_shape[0] < 1:
            raise UserError(
                f"tokens: expected inputs of shape (tokens,), the task gives {tuple(input_shape)}; "
                "use a task of token ids, such as vader-sentences"
            )
        return int(input_shape[0])

    def rows(
        self, facts: Facts, input_shape: Sequence[int], width: Cells, active: Cells | float
    ) -> Iterator[Operator]:
        """The table, every entry stored, one looked up for each position; no arithmetic."""
        cells: dict[str, Cells | float] = {
            "active": active,
            "inputs": facts["vocabulary"],
            "outputs": width,
            "positions": self.positions(facts, input_shape),
        }
        yield Operator("front_end.table", "table", "embedding", cells)
