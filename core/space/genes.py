"""All genes of a row side by side, so that one operation serves every dimension at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.space.dimensions import Integer
from stillhouse.core.space.indexed import Indexed

if TYPE_CHECKING:
    from stillhouse.core.space.layout import Block

Flags = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Genes:
    """What the columns of a row hold. Genes are numbered in the order of their columns.

    `gene` (width,) is each column's gene and `start` (genes,) each gene's first column; `block`
    (genes,) is the block it belongs to. `count` (genes,) is the number of values of a gene with an
    index, 0 for others; `ordered` (genes,) whether neighbouring indices are a small step.
    `always` (width,) marks columns active in every configuration; `plain` (width,) those of them
    that hold an index drawn evenly, on which nothing depends; `dependent` the blocks that can be
    inactive, parents first.
    """

    gene: NDArray[np.int64]
    start: NDArray[np.int64]
    block: NDArray[np.int64]
    count: NDArray[np.float64]
    ordered: Flags
    always: Flags
    plain: Flags
    dependent: tuple[int, ...]

    @property
    def single(self) -> bool:
        """Whether every gene has one column, so that genes are columns."""
        return len(self.start) == len(self.gene)


def side_by_side(blocks: Sequence[Block], order: Sequence[int]) -> Genes:
    """Genes of blocks; `order` visits parents before their children."""
    always = _always(blocks, order)
    leaves = set(range(len(blocks))) - {block.parent for block in blocks}
    width = [block.dimension.columns for block in blocks]
    layers = [block.layers for block in blocks]
    start = [at for b in blocks for at in range(b.start, b.stop, b.dimension.columns)]
    kinds = [b.dimension if isinstance(b.dimension, Indexed) else None for b in blocks]
    plain = [
        always[at] and at in leaves and kind is not None and not _on_log_scale(kind)
        for at, kind in enumerate(kinds)
    ]
    columns = [block.stop - block.start for block in blocks]
    return Genes(
        gene=np.repeat(np.arange(len(start)), np.repeat(np.array(width, int), layers)),
        start=np.array(start, dtype=np.int64),
        block=np.repeat(np.arange(len(blocks)), layers),
        count=np.repeat(np.array([k.count if k else 0 for k in kinds], dtype=np.float64), layers),
        ordered=np.repeat(np.array([k is not None and k.ordered for k in kinds], bool), layers),
        always=np.repeat(np.array(always, dtype=np.bool_), columns),
        plain=np.repeat(np.array(plain, dtype=np.bool_), columns),
        dependent=tuple(at for at in order if not always[at]),
    )


def _always(blocks: Sequence[Block], order: Sequence[int]) -> list[bool]:
    """Which blocks are active in every configuration."""
    always = [False] * len(blocks)
    for at in order:
        parent = blocks[at].parent
        every = parent is None or (always[parent] and bool(blocks[at].table[:-1].all()))
        always[at] = every
    return always


def _on_log_scale(dimension: Indexed) -> bool:
    return isinstance(dimension, Integer) and dimension.log
