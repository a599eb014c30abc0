"""Canonical codes as features for surrogates, by one pass over all genes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.space.dimension import Codes, Dimension
from stillhouse.core.space.dimensions import Integer
from stillhouse.core.space.indexed import Indexed

if TYPE_CHECKING:
    from stillhouse.core.space.layout import Block, Layout

Places = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Encoding:
    """Where each feature comes from.

    Features `scaled` are the columns `scaled_from` times `factor`; one of those from `hot` on, as
    many as `hot_from` has values, is 1; features `flag` tell whether `flag_from` is active; `bent`
    are blocks with a scale of their own and their first features.
    """

    features: int
    scaled: Places
    scaled_from: Places
    factor: NDArray[np.float64]
    hot: Places
    hot_from: Places
    flag: Places
    flag_from: Places
    bent: tuple[tuple[int, Block], ...]

    def __call__(self, codes: Codes, dtype: type[np.floating[Any]]) -> NDArray[Any]:
        """Features of canonical codes, (n, features)."""
        out = np.zeros((len(codes), self.features), dtype=dtype)
        if len(self.scaled):
            genes = codes if self._whole(codes) else codes[:, self.scaled_from]
            out[:, _span(self.scaled)] = np.maximum(genes * self.factor, 0.0)
        if len(self.hot):
            values = codes[:, _span(self.hot_from)]
            places = np.maximum(values, 0.0).astype(np.int64)
            places += self.hot + self.features * np.arange(len(codes))[:, None]
            out.reshape(-1)[places] = values >= 0
        if len(self.flag):
            out[:, self.flag] = codes[:, self.flag_from] >= 0
        for first, block in self.bent:
            view = block.view(codes)
            values = np.where(view[..., :1] >= 0, block.dimension.scaled(view), 0.0)
            out[:, first : first + block.layers] = values.reshape(len(codes), block.layers)
        return out

    def _whole(self, codes: Codes) -> bool:
        return bool(len(self.scaled_from) == codes.shape[1])


def encoding(layout: Layout) -> Encoding:
    """The plan of a layout: block by block its genes' features, then flags of optional genes."""
    scaled: list[tuple[int, int, float]] = []
    hot, flag, bent = [], [], []
    at = 0
    for block in layout.blocks:
        dimension = block.dimension
        columns = range(block.start, block.stop)
        if isinstance(dimension, Indexed) and dimension.features > 1:
            hot += [(at + i * dimension.features, column) for i, column in enumerate(columns)]
        elif _bent(dimension):
            bent.append((at, block))
        elif dimension.features:
            factor = 1 / max(dimension.upper, 1)
            scaled += [(at + i, column, factor) for i, column in enumerate(columns)]
        at += block.layers * dimension.features
        for layer in _optional(block):
            flag.append((at, block.start + layer * dimension.columns))
            at += 1
    factors = np.array([factor for _, _, factor in scaled])
    places = (_pairs([(f, c) for f, c, _ in scaled]), _pairs(hot), _pairs(flag))
    (s, s_from), (h, h_from), (f, f_from) = places
    return Encoding(at, s, s_from, factors, h, h_from, f, f_from, tuple(bent))


def origins(layout: Layout) -> Places:
    """Dimension, layer and place within the gene of each feature, (features, 3).

    The place is -1 for a flag.
    """
    rows = []
    for number, block in enumerate(layout.blocks):
        places = range(block.dimension.features)
        rows += [(number, layer, place) for layer in range(block.layers) for place in places]
        rows += [(number, layer, -1) for layer in _optional(block)]
    return np.array(rows, dtype=np.int64).reshape(-1, 3)


def _bent(dimension: Dimension) -> bool:
    """Whether features are not codes times a constant."""
    return isinstance(dimension, Integer) and dimension.log and dimension.features > 0


def _optional(block: Block) -> Iterator[int]:
    """Layers whose gene some value of the parent leaves out, and some does not."""
    if block.parent is not None:
        every = np.broadcast_to(block.table[:-1].all(0), block.layers)
        yield from np.flatnonzero(~every).tolist()


def _pairs(pairs: list[tuple[int, int]]) -> tuple[Places, Places]:
    both = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return both[:, 0], both[:, 1]


def _span(places: Places) -> Places | slice:
    """The places, as a slice when they are neighbours: that is faster."""
    first, last = int(places[0]), int(places[-1])
    return slice(first, last + 1) if last - first == len(places) - 1 else places
