"""A space as numbered genes with numbered values, for what is tabulated gene by gene."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.search.enumeration import gene_values
from stillhouse.core.search.sampler import Codes
from stillhouse.core.space import Dimension, Space
from stillhouse.core.space.layout import arrange

Whole = NDArray[np.int64]

MOST_VALUES: Final = 512
"""A gene of more values, or on a continuum, is held at its middle."""


@dataclass(frozen=True, eq=False)
class Gene:
    """One gene: its first column, and the codes (values, columns) it may have.

    `parent` is the gene that decides whether it is active, -1 where it always is; `active`
    (values of the parent,) says for which values.
    """

    start: int
    values: Codes
    parent: int
    active: NDArray[np.bool_]


@final
class Genome:
    """A space as genes with numbered values. Configurations are (n, genes), -1 where inactive.

    Genes that cannot be tabulated have one value, their middle.
    """

    def __init__(self, space: Space) -> None:
        self.space = space
        self.genes: list[Gene] = []
        held: list[int] = []
        layout = arrange(space.dimensions)
        offsets = np.cumsum([0, *(block.layers for block in layout.blocks)]).tolist()
        for block in layout.blocks:
            values = _values(block.dimension)
            for layer in range(block.layers):
                start = block.start + layer * block.dimension.columns
                parent, active = -1, np.ones(1, dtype=np.bool_)
                if block.parent is not None:
                    above = layout.blocks[block.parent]
                    parent = offsets[block.parent] + (layer if above.layers == block.layers else 0)
                    active = block.table[:-1, layer if block.table.shape[1] > 1 else 0]
                self.genes.append(Gene(start, values, parent, active))
        self.held = np.array(held, dtype=np.int64)
        """Columns of the genes that are held at their middle."""

    @cached_property
    def counts(self) -> Whole:
        """Number of values of each gene, (genes,)."""
        return np.array([len(gene.values) for gene in self.genes], dtype=np.int64)

    @cached_property
    def order(self) -> list[int]:
        """All genes, parents before children."""
        level = [0] * len(self.genes)
        for at in range(len(self.genes)):
            above = self.genes[at].parent
            while above >= 0:
                level[at] += 1
                above = self.genes[above].parent
        return sorted(range(len(level)), key=level.__getitem__)

    @cached_property
    def rank(self) -> list[int]:
        """The place of each gene in `order`."""
        return [int(place) for place in np.argsort(self.order)]

    def codes(self, values: Whole) -> Codes:
        """Canonical codes of configurations; what is given for inactive genes does not matter."""
        out = np.zeros((len(values), self.space.width))
        for at, gene in enumerate(self.genes):
            stop = gene.start + gene.values.shape[1]
            out[:, gene.start : stop] = gene.values[values[:, at].clip(0)]
        return self.space.canonical(out)

    def values(self, codes: Codes) -> Whole:
        """Configurations of canonical codes, (n, genes); held genes count as in their middle."""
        out = np.empty((len(codes), len(self.genes)), dtype=np.int64)
        for at, gene in enumerate(self.genes):
            part = codes[:, gene.start : gene.start + gene.values.shape[1]]
            if len(gene.values) == 1:
                out[:, at] = 0
            elif part.shape[1] == 1:
                out[:, at] = part[:, 0]
            else:
                out[:, at] = (part[:, None] == gene.values[None]).all(-1).argmax(-1)
            out[part[:, 0] < 0, at] = -1
        return out

    def joint(self, genes: Sequence[int], outside: Sequence[int], given: Whole) -> Whole:
        """All joint values of some genes, (m, genes), parents before children.

        `given` are the values of the genes `outside`, to which their other parents belong.
        """
        known = dict(zip(outside, given.tolist(), strict=True))
        places = {gene: at for at, gene in enumerate(genes)}
        rows = np.full((1, len(genes)), -1, dtype=np.int64)
        for at, number in enumerate(genes):
            gene = self.genes[number]
            if gene.parent < 0:
                above = np.zeros(len(rows), dtype=np.int64)
            elif gene.parent in places:
                above = rows[:, places[gene.parent]]
            else:
                above = np.full(len(rows), known[gene.parent])
            here = (above >= 0) & gene.active[above.clip(0)]
            spread = np.repeat(rows[here], len(gene.values), axis=0)
            spread[:, at] = np.tile(np.arange(len(gene.values)), int(here.sum()))
            rows = np.concatenate([rows[~here], spread])
        return rows


def _values(dimension: Dimension) -> Codes:
    count = dimension.cardinality
    if count is None or count > MOST_VALUES:
        return dimension.corners()[1:2]
    return gene_values(dimension)
