"""Every configuration of a small space, so that small questions get exact answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Final

import numpy as np

from stillhouse.core.search.sampler import Codes
from stillhouse.core.space import Dimension, Space, Taps

ENUMERABLE: Final = 20_000
"""Spaces up to this many configurations are enumerated rather than sampled."""


def enumerated(space: Space, most: int = ENUMERABLE) -> Codes | None:
    """All canonical codes, (size, width), each once; None for a space of more than `most`."""
    if space.size() > most:
        return None
    rows = np.zeros((1, space.width))
    for start, genes in _genes(space):
        rows[:, start : start + genes.shape[1]] = genes[0]
    for start, genes in _genes(space):
        active = space.canonical(rows)[:, start] >= 0
        spread = np.repeat(rows[active], len(genes), axis=0)
        spread[:, start : start + genes.shape[1]] = np.tile(genes, (int(active.sum()), 1))
        rows = np.concatenate([rows[~active], spread])
    return space.canonical(rows)


def _genes(space: Space) -> Iterator[tuple[int, Codes]]:
    """First column and all values (values, columns) of each gene, parents before children."""
    known = {dimension.name: dimension for dimension in space.dimensions}
    starts, at = {}, 0
    for name, dimension in known.items():
        starts[name] = at
        at += dimension.columns * _layers(dimension, known)
    for name in sorted(known, key=lambda name: _level(name, known)):
        values = gene_values(known[name])
        for layer in range(_layers(known[name], known)):
            yield starts[name] + layer * values.shape[1], values


def gene_values(dimension: Dimension) -> Codes:
    if isinstance(dimension, Taps):
        return np.array(list(combinations(range(dimension.total), dimension.count)), dtype=float)
    return np.arange(dimension.cardinality or 0, dtype=np.float64)[:, None]


def _layers(dimension: Dimension, known: Mapping[str, Dimension]) -> int:
    if dimension.per is None:
        return 1
    parent = known[dimension.per]
    return int(parent.decode(parent.corners()[-1].tolist()))


def _level(name: str, known: Mapping[str, Dimension]) -> int:
    dimension = known[name]
    parent = dimension.when[0] if dimension.when else dimension.per
    return 0 if parent is None else 1 + _level(parent, known)
