"""Which subnets a supernet trains in each update."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, final

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from stillhouse.core.space import Codes, Space

Configuration = Mapping[str, Any]


class PathSampler(ABC):
    """Draws subnets; a pure function of the step and of the generator it is handed.

    `name` says all that decides the draws. `leads_with_largest` promises that the first
    configuration of every draw is the space's largest.
    """

    name: str
    leads_with_largest: bool = False

    @abstractmethod
    def draw(self, step: int, rng: np.random.Generator) -> list[Configuration]:
        """The subnets of update number `step`, each trained on the same batch."""


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


@final
class Uniform(PathSampler):
    """One subnet an update, each gene uniform (LightHuBERT, arXiv:2203.15610, section 3)."""

    def __init__(self, space: Space) -> None:
        self.name, self._space = "uniform", space

    def draw(self, step: int, rng: np.random.Generator) -> list[Configuration]:
        return [self._space.decode(gene_by_gene(self._space, 1, rng)[0])]


@final
class Sandwich(PathSampler):
    """Largest, smallest and `middle` random subnets (US-Nets, arXiv:1903.05134, section 3.2)."""

    leads_with_largest = True

    def __init__(self, space: Space, middle: int = 2) -> None:
        self.name, self._space, self._middle = f"sandwich(middle={middle})", space, middle
        corners = space.corners()
        self._largest, self._smallest = space.decode(corners[2]), space.decode(corners[0])

    def draw(self, step: int, rng: np.random.Generator) -> list[Configuration]:
        middle = gene_by_gene(self._space, self._middle, rng)
        return [self._largest, self._smallest, *map(self._space.decode, middle)]


@final
class SizeBins(PathSampler):
    """One subnet an update: a size bin uniformly, then a subnet in it.

    A uniform draw over a space seldom meets its small and large ends. `parameters(codes)` counts
    parameters, shape (codes,); `bins` bins of equal width span a pool of `pool` random subnets
    drawn from `rng` and the space's corners. Empty bins are left out.
    """

    def __init__(
        self,
        space: Space,
        parameters: Callable[[Codes], NDArray[np.float64]],
        rng: np.random.Generator,
        *,
        bins: int = 8,
        pool: int = 4096,
    ) -> None:
        self.name, self._space = f"size_bins(bins={bins}, pool={pool})", space
        self._codes = np.concatenate([space.corners(), gene_by_gene(space, pool, rng)])
        sizes = parameters(self._codes)
        edges = np.linspace(sizes.min(), sizes.max(), bins + 1)[1:-1]
        places = np.digitize(sizes, edges)
        self._bins = [np.flatnonzero(places == place) for place in np.unique(places)]

    def draw(self, step: int, rng: np.random.Generator) -> list[Configuration]:
        members = self._bins[rng.integers(len(self._bins))]
        return [self._space.decode(self._codes[members[rng.integers(len(members))]])]
