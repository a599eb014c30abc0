"""What tells positions apart: a table that is added, or a convolution over their surroundings."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, final

import torch
from torch import Tensor, nn

from stillhouse.core.cost.sheet import Cells, Operator
from stillhouse.core.elastic import ElasticEmbedding, ElasticPositionalConv, PositionalConv
from stillhouse.core.elastic.bounds import check_slice
from stillhouse.core.errors import UserError
from stillhouse.plugins.models.encoder.constants import Constants
from stillhouse.plugins.models.encoder.front_ends import front_end
from stillhouse.plugins.models.encoder.front_ends.contract import ElasticPart
from stillhouse.plugins.models.transformer.rows import sum_row


@final
class TablePositions(nn.Module):
    """Adds the first rows of a learned table (count, width) to (batch, positions, width)."""

    def __init__(self, table: nn.Embedding) -> None:
        super().__init__()
        self.table = table

    def forward(self, x: Tensor) -> Tensor:
        return x + self.table.weight[: x.shape[1]]


@final
class ElasticTablePositions(ElasticPart):
    """`TablePositions` over the first features."""

    def __init__(self, plain: TablePositions) -> None:
        super().__init__()
        self.table = ElasticEmbedding.from_plain(plain.table)

    def set_active(self, width: int) -> None:
        self.table.set_active(width)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.table.table()[: x.shape[1]]

    def extract(self) -> TablePositions:
        return TablePositions(self.table.extract())


@final
class SinusoidPositions(nn.Module, Constants):
    """Adds the first rows of a fixed table, see `sinusoids`; a subnet keeps the first columns."""

    def __init__(self, table: Tensor) -> None:
        super().__init__()
        self.table: Tensor
        self.register_buffer("table", table)

    def fill(self) -> None:
        self.table.copy_(sinusoids(*self.table.shape))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.table[: x.shape[1]]


@final
class ElasticSinusoidPositions(ElasticPart):
    """`SinusoidPositions` over the first features."""

    def __init__(self, plain: SinusoidPositions) -> None:
        super().__init__()
        self.table: Tensor
        self.register_buffer("table", plain.table.clone())
        self.width = self.table.shape[1]

    def set_active(self, width: int) -> None:
        check_slice("ElasticSinusoidPositions", width=(width, self.table.shape[1]))
        self.width = width

    def forward(self, x: Tensor) -> Tensor:
        return x + self.table[: x.shape[1], : self.width]

    def extract(self) -> SinusoidPositions:
        return SinusoidPositions(self.table[:, : self.width].clone())


def sinusoids(count: int, width: int) -> Tensor:
    """Sines, then cosines, of positions at wavelengths 2 pi to 20,000 pi: (count, width), float32.

    Vaswani et al. 2017, section 3.5, in the order that Whisper (Radford et al. 2022) has them.
    """
    half = width // 2
    rates = torch.exp(-math.log(10_000) / max(1, half - 1) * torch.arange(half))
    angles = torch.arange(count)[:, None] * rates
    table = torch.zeros(count, width)
    table[:, :half], table[:, half : 2 * half] = angles.sin(), angles.cos()
    return table


def position_count(structure: Mapping[str, Any]) -> int:
    """Positions that an input of the structure's shape has.

    `UserError` for an input that the front end or the table of positions cannot take.
    """
    facts, given = structure["positions"], structure["input_shape"]
    found = front_end(structure["front_end"]).positions(structure["front_end"], given)
    if facts is not None and facts["kind"] == "table" and found > facts["count"]:
        raise UserError(
            f"encoder: expected inputs of at most {facts['count']} positions, the rows of its "
            f"table, inputs of shape {list(given)} have {found}; shorten the inputs"
        )
    return found


def positions_of(structure: Mapping[str, Any]) -> nn.Module | None:
    """The part on the meta device; `UserError` as `position_count`."""
    facts, width = structure["positions"], structure["width"]
    position_count(structure)
    if facts is None:
        return None
    if facts["kind"] == "conv":
        return PositionalConv.sized(width, facts["kernel"], facts["groups"])
    table = torch.empty(facts["count"], width, device="meta")
    if not facts["learned"]:
        return SinusoidPositions(table)
    return TablePositions(nn.Embedding(facts["count"], width, _weight=table))


def elastic_positions(plain: nn.Module | None) -> ElasticPart | ElasticPositionalConv | None:
    """The elastic twin, with its weights copied."""
    match plain:
        case None:
            return None
        case PositionalConv():
            return ElasticPositionalConv.from_plain(plain)
        case TablePositions():
            return ElasticTablePositions(plain)
        case SinusoidPositions():
            return ElasticSinusoidPositions(plain)
    raise TypeError(f"expected positions, came {type(plain).__name__}")


def position_rows(structure: Mapping[str, Any], positions: int, width: Cells) -> Iterator[Operator]:
    """Operators of one inference over so many positions."""
    facts = structure["positions"]
    if facts is None:
        return
    if facts["kind"] == "conv":
        yield from _convolution_rows(facts, positions, width)
    else:
        # An operand of the sum, which reads both; nothing is looked up.
        cells: dict[str, Cells | float] = {
            "inputs": facts["count"], "outputs": width, "positions": 0,
            "fixed": float(not facts["learned"]),
        }  # fmt: skip
        yield Operator("positions.table", "table", "embedding", cells)
    yield sum_row("positions.add", "embedding", width, positions)


def _convolution_rows(facts: Mapping[str, Any], positions: int, width: Cells) -> Iterator[Operator]:
    # An even kernel gives one output too many, which is computed and only then cut off.
    computed = positions + (facts["kernel"] + 1) % 2
    conv: dict[str, Cells | float] = {
        "inputs": width, "outputs": width, "positions": computed, "read_positions": positions,
        "kernel": facts["kernel"], "groups": facts["groups"], "bias": 1,
    }  # fmt: skip
    act: dict[str, Cells | float] = {
        "outputs": width, "positions": positions, "held": computed * width,
    }  # fmt: skip
    yield Operator("positions.conv", "conv1d", "convolution", conv)
    yield Operator("positions.act", "elementwise", "convolution", act)
