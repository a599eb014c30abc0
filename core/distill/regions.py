"""Parts of a search space that subnets are drawn from while a supernet trains."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.errors import UserError

if TYPE_CHECKING:
    from stillhouse.core.space import Codes, Space

POOL: Final = 4096
"""Random subnets that stand for a space, or for each of its sub-spaces."""


def gene_by_gene(space: Space, count: int, rng: np.random.Generator) -> Codes:
    """Canonical codes (count, space.width) in which every gene is drawn on its own.

    Each depth comes up equally often, as a supernet needs. `Space.sample` is even over
    configurations instead, of which nearly all have the greatest depth.
    """
    deepest = {d.name: d.values(d.corners()[2]) for d in space.dimensions}
    drawn = []
    for d in space.dimensions:
        layers = int(deepest[d.per]) if d.per else 1
        drawn.append(d.draw((count, layers), rng).reshape(count, layers * d.columns))
    return space.canonical(np.concatenate(drawn, axis=1))


class Region(ABC):
    """Subnets of `space`, with a `smallest` and a `largest`; `name` says which."""

    name: str
    space: Space
    smallest: Codes
    largest: Codes

    @abstractmethod
    def draw(self, count: int, rng: np.random.Generator) -> Codes:
        """Random codes of subnets in the region, (count, space.width)."""


@final
class Whole(Region):
    """All of a space, each gene uniform."""

    def __init__(self, space: Space) -> None:
        self.name, self.space = "", space
        corners = space.corners()
        self.smallest, self.largest = corners[0], corners[2]

    def draw(self, count: int, rng: np.random.Generator) -> Codes:
        return gene_by_gene(self.space, count, rng)


@final
class Members(Region):
    """Listed subnets, `codes` (n, width) from small to large; those listed twice weigh twice."""

    def __init__(self, name: str, space: Space, codes: Codes) -> None:
        self.name, self.space, self._codes = name, space, codes
        self.smallest, self.largest = codes[0], codes[-1]

    def draw(self, count: int, rng: np.random.Generator) -> Codes:
        drawn: Codes = self._codes[rng.integers(len(self._codes), size=count)]
        return drawn


@final
class Quantiles:
    """A space cut by size into sub-spaces of equal chance (AutoDistil, arXiv:2201.12507).

    Sub-space k, from 0, holds the subnets of more than `edges[k - 1]` and at most `edges[k]`
    parameters. Edges are quantiles of the sizes of the space's corners and random subnets, so
    where a subnet belongs depends on its genes alone. Raises `UserError` when the space has fewer
    sizes than there are to be sub-spaces.
    """

    def __init__(
        self,
        space: Space,
        parameters: Callable[[Codes], NDArray[np.float64]],
        parts: int,
        rng: np.random.Generator,
    ) -> None:
        pool = np.concatenate([space.corners(), gene_by_gene(space, POOL * parts, rng)])
        sizes = parameters(pool)
        order = np.argsort(sizes, kind="stable")
        self._space, self._codes, self._sizes = space, pool[order], sizes[order]
        self.edges = _edges(self._sizes, parts)

    def regions(self) -> list[Region]:
        """The sub-spaces, smallest first."""
        places = placed(self._sizes, self.edges)
        parts = range(len(self.edges) + 1)
        return [
            Members(f"{k + 1} of {len(parts)}", self._space, self._codes[places == k])
            for k in parts
        ]


def placed(sizes: Any, edges: Sequence[float]) -> NDArray[np.int64]:
    """The sub-space of each size, see `Quantiles`."""
    places: NDArray[np.int64] = np.searchsorted(np.asarray(edges, np.float64), sizes, side="left")
    return places


def _edges(sizes: NDArray[np.float64], parts: int) -> list[float]:
    """Where sorted sizes part in `parts`, none of them empty."""
    distinct = np.unique(sizes)
    if parts > len(distinct):
        raise UserError(
            f"subspaces: expected at most {len(distinct)}, the sizes that the space's subnets "
            f"have, got {parts}; lower it, or widen the space"
        )
    edges: list[float] = []
    for k in range(1, parts):
        wanted = sizes[k * len(sizes) // parts - 1]
        first = int(np.searchsorted(distinct, edges[-1])) + 1 if edges else 0
        last = len(distinct) - 1 - (parts - k)
        place = int(np.clip(np.searchsorted(distinct, wanted), first, last))
        edges.append(float(distinct[place]))
    return edges
