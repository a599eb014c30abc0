"""How dimensions lie in a row of codes, which gene depends on which, and how many there are."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.errors import ConfigError, nearest
from stillhouse.core.space.dimension import Codes, Dimension
from stillhouse.core.space.encoding import Encoding, encoding
from stillhouse.core.space.genes import Genes, side_by_side
from stillhouse.core.space.indexed import Indexed

Flags = NDArray[np.bool_]

_MOST_BITS = 14_000
_MOST_COLUMNS = 50_000
_MOST_VALUES = 10_000  # of a dimension that others depend on: each value is tabulated


@dataclass(frozen=True, eq=False)
class Block:
    """The genes of one dimension: code columns `start` to `stop`, layer by layer.

    `parent` is a position in the layout. `table` (parent values + 1, layers or 1) says for which
    of the parent's values a gene is active; the last row, which index -1 finds, is all False.
    """

    dimension: Dimension
    start: int
    layers: int
    parent: int | None
    table: Flags

    @property
    def stop(self) -> int:
        return self.start + self.layers * self.dimension.columns

    def view(self, codes: Codes) -> Codes:
        """The block's part of codes (n, width) as a view, (n, layers, columns)."""
        part = codes[:, self.start : self.stop]
        return part.reshape(len(codes), self.layers, self.dimension.columns)

    def active(self, parent: Codes) -> Flags:
        """Which genes are active, (n, layers), given the parent's codes (n, parent layers, 1)."""
        rows = self.table[parent[..., 0].astype(np.int64)]
        return rows.reshape(len(parent), self.layers)


@dataclass(frozen=True, eq=False)
class Limits:
    """Largest code of each column, and whether codes between whole numbers are valid, (width,)."""

    upper: Codes
    continuous: Flags


@dataclass(frozen=True, eq=False)
class Layout:
    """Blocks in the order of their dimensions; `order` visits parents before their children.

    `weights` holds, for dimensions that others depend on, the share of all configurations below
    each value; `totals` the configurations of one gene with all that depends on it.
    """

    blocks: tuple[Block, ...]
    order: tuple[int, ...]
    weights: Mapping[int, NDArray[np.float64]]
    totals: Mapping[int, int]
    limits: Limits
    positions: Mapping[str, int]

    @property
    def width(self) -> int:
        """Columns of a row of codes."""
        return len(self.limits.upper)

    @cached_property
    def genes(self) -> Genes:
        """All genes side by side."""
        return side_by_side(self.blocks, self.order)

    @cached_property
    def encoding(self) -> Encoding:
        """How codes become features."""
        return encoding(self)

    def count(self) -> int:
        """Canonical configurations; a continuum counts once."""
        roots = (i for i, block in enumerate(self.blocks) if block.parent is None)
        return math.prod(self.totals[i] ** self.blocks[i].layers for i in roots)

    def continuous(self) -> bool:
        """Whether some configuration has an active gene on a continuum."""
        return any(b.layers and b.dimension.cardinality is None for b in self.blocks)


def arrange(dimensions: Sequence[Dimension]) -> Layout:
    """Lay dimensions out; ConfigError when names repeat or conditions do not form a forest."""
    known: dict[str, Dimension] = {}
    for dimension in dimensions:
        if dimension.name in known:
            raise ConfigError(f"dimension '{dimension.name}' is declared twice")
        known[dimension.name] = dimension
    for dimension in dimensions:
        if problem := condition_problem(dimension, known):
            raise ConfigError(f"dimension '{dimension.name}': {problem}")
    blocks = _blocks(known)
    order = tuple(sorted(range(len(blocks)), key=lambda i: _level(blocks, i)))
    weights, totals = _counts(blocks, order)
    positions = {name: at for at, name in enumerate(known)}
    return Layout(blocks, order, weights, totals, _limits(blocks), positions)


def parent_of(dimension: Dimension) -> str | None:
    """Name of the one dimension that decides whether this one's genes are active."""
    return dimension.when[0] if dimension.when else dimension.per


def condition_problem(dimension: Dimension, known: Mapping[str, Dimension]) -> str | None:
    """What is wrong with `when` and `per`, given every dimension by name (None if nothing is)."""
    for name in filter(None, (dimension.per, dimension.when and dimension.when[0])):
        if name not in known:
            return f"depends on '{name}', which is not a dimension{nearest(name, known)}"
    seen, above = {dimension.name}, parent_of(dimension)
    while above is not None and above in known:
        if above in seen:
            return f"depends on itself through '{above}'"
        seen.add(above)
        above = parent_of(known[above])
    problem = _per_problem(dimension, known) if dimension.per else None
    return problem or (_when_problem(dimension, known) if dimension.when else None)


def _per_problem(dimension: Dimension, known: Mapping[str, Dimension]) -> str | None:
    parent = known[str(dimension.per)]
    if not isinstance(parent, Indexed) or parent.layers() is None or parent.per:
        return f"'per' needs one whole number, 0 to 10000; '{parent.name}' is not one"
    return _size_problem(parent)


def _when_problem(dimension: Dimension, known: Mapping[str, Dimension]) -> str | None:
    name, values = dimension.when or ("", ())
    parent = known[name]
    if not isinstance(parent, Indexed):
        return f"'when' needs a dimension of choices or whole numbers; '{name}' is neither"
    if parent.per != dimension.per:
        ours = f"per {dimension.per}" if dimension.per else "a single gene"
        theirs = f"per {parent.per}" if parent.per else "a single gene"
        return f"is {ours} but its condition '{name}' is {theirs}; give both the same 'per'"
    wrong = [value for value in values if parent.encode(value) is None]
    if wrong:
        return f"'when' expects '{name}' to be {parent.expected}; got {wrong[0]!r}"
    return _size_problem(parent)


def _size_problem(parent: Indexed) -> str | None:
    if parent.count <= _MOST_VALUES:
        return None
    return f"depends on '{parent.name}', which has {parent.count} values; 10000 is the most"


def _blocks(known: Mapping[str, Dimension]) -> tuple[Block, ...]:
    names = list(known)
    blocks: list[Block] = []
    start = 0
    for dimension in known.values():
        name = parent_of(dimension)
        layers = _layers(dimension, known)
        table = _table(dimension, known, layers)
        parent = None if name is None else names.index(name)
        blocks.append(Block(dimension, start, layers, parent, table))
        start = blocks[-1].stop
        if start > _MOST_COLUMNS:
            raise ConfigError(
                f"dimension '{dimension.name}': the space has more than {_MOST_COLUMNS} genes with "
                "it; give it fewer layers or leave dimensions out"
            )
    return tuple(blocks)


def _layer_values(dimension: Dimension, known: Mapping[str, Dimension]) -> NDArray[np.int64]:
    parent = known[str(dimension.per)]
    values = parent.layers() if isinstance(parent, Indexed) else None
    return np.empty(0, np.int64) if values is None else values


def _layers(dimension: Dimension, known: Mapping[str, Dimension]) -> int:
    return int(_layer_values(dimension, known).max()) if dimension.per else 1


def _table(dimension: Dimension, known: Mapping[str, Dimension], layers: int) -> Flags:
    if dimension.when:
        parent: Any = known[dimension.when[0]]
        table = np.zeros((parent.count + 1, 1), dtype=np.bool_)
        table[[int(parent.encode(value)[0]) for value in dimension.when[1]]] = True
        return table
    if dimension.per:
        values = np.append(_layer_values(dimension, known), 0)
        return np.arange(layers) < values[:, None]
    return np.ones((1, 1), dtype=np.bool_)


def _limits(blocks: Sequence[Block]) -> Limits:
    wide = [block.stop - block.start for block in blocks]
    upper = [block.dimension.upper for block in blocks]
    continuous = [block.dimension.cardinality is None for block in blocks]
    return Limits(
        np.repeat(np.array(upper, dtype=np.float64), wide),
        np.repeat(np.array(continuous, dtype=np.bool_), wide),
    )


def _level(blocks: Sequence[Block], at: int) -> int:
    level, parent = 0, blocks[at].parent
    while parent is not None:
        level, parent = level + 1, blocks[parent].parent
    return level


def _check_bits(what: str, bits: int) -> None:
    # Exact counts of this length take minutes, and Python writes no number of 4300 digits.
    if bits > _MOST_BITS:
        raise ConfigError(
            f"{what}: expected at most 2^{_MOST_BITS} configurations, got more; give it fewer "
            "layers, fewer choices or coarser steps"
        )


def _counts(
    blocks: Sequence[Block], order: Sequence[int]
) -> tuple[dict[int, NDArray[np.float64]], dict[int, int]]:
    """Shares below each value, and configurations of one gene, from the leaves up."""
    weights: dict[int, NDArray[np.float64]] = {}
    totals: dict[int, int] = {}
    for at in reversed(order):
        children = [i for i, block in enumerate(blocks) if block.parent == at]
        cardinality = blocks[at].dimension.cardinality
        totals[at] = 1 if cardinality is None else cardinality
        bits = sum(totals[i].bit_length() * blocks[i].layers for i in children)
        _check_bits(f"dimension '{blocks[at].dimension.name}'", bits)
        if children and cardinality is not None:
            active = {i: blocks[i].table.sum(1).tolist() for i in children}
            below = [
                math.prod(totals[i] ** active[i][value] for i in children)
                for value in range(cardinality)
            ]
            totals[at] = sum(below)
            weights[at] = np.array([count / totals[at] for count in below])
    bits = sum(totals[i].bit_length() for i, block in enumerate(blocks) if block.parent is None)
    _check_bits("the space", bits)
    return weights, totals
