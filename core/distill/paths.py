"""Which subnets a supernet trains in each update."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.distill.regions import POOL, Region, Whole
from stillhouse.core.distill.regions import gene_by_gene as gene_by_gene

if TYPE_CHECKING:
    from stillhouse.core.space import Codes, Space

Configuration = Mapping[str, Any]


class PathSampler(ABC):
    """Draws subnets; a pure function of the step and of the generator it is handed.

    `name` says all that decides the draws. `leads_with_largest` promises that the first
    configuration of every draw is the largest there is to draw.
    """

    name: str
    leads_with_largest: bool = False

    @abstractmethod
    def draw(self, step: int, rng: np.random.Generator) -> list[Configuration]:
        """The subnets of update number `step`, each trained on the same batch."""


@final
class Uniform(PathSampler):
    """One subnet an update, each gene uniform (LightHuBERT, arXiv:2203.15610, section 3)."""

    def __init__(self, where: Space | Region) -> None:
        self._region = _region(where)
        self.name = _named("uniform", self._region)

    def draw(self, step: int, rng: np.random.Generator) -> list[Configuration]:
        return _decoded(self._region, self._region.draw(1, rng))


@final
class Sandwich(PathSampler):
    """Largest, smallest and `middle` random subnets (US-Nets, arXiv:1903.05134, section 3.2)."""

    leads_with_largest = True

    def __init__(self, where: Space | Region, middle: int = 2) -> None:
        self._region, self._middle = _region(where), middle
        self.name = _named(f"sandwich(middle={middle})", self._region)
        ends = np.stack([self._region.largest, self._region.smallest])
        self._ends = _decoded(self._region, ends)

    def draw(self, step: int, rng: np.random.Generator) -> list[Configuration]:
        return [*self._ends, *_decoded(self._region, self._region.draw(self._middle, rng))]


@final
class Turns(PathSampler):
    """The largest, the smallest and `middle` random subnets in turn, one an update.

    A sandwich spread over as many updates as it has subnets: both ends come up as often, and an
    update costs what `Uniform`'s does.
    """

    def __init__(self, where: Space | Region, middle: int = 2) -> None:
        self._region, self._round = _region(where), 2 + middle
        self.name = _named(f"turns(middle={middle})", self._region)
        ends = np.stack([self._region.largest, self._region.smallest])
        self._ends = _decoded(self._region, ends)

    def draw(self, step: int, rng: np.random.Generator) -> list[Configuration]:
        turn = step % self._round
        if turn < len(self._ends):
            return [self._ends[turn]]
        return _decoded(self._region, self._region.draw(1, rng))


@final
class SizeBins(PathSampler):
    """One subnet an update: a size bin uniformly, then a subnet in it.

    A uniform draw over a space seldom meets its small and large ends. `parameters(codes)` counts
    parameters, shape (codes,); `bins` bins of equal width span a pool of `pool` random subnets
    drawn from `rng` and the space's corners. Empty bins are left out.
    """

    def __init__(
        self,
        where: Space | Region,
        parameters: Callable[[Codes], NDArray[np.float64]],
        rng: np.random.Generator,
        *,
        bins: int = 8,
        pool: int = POOL,
    ) -> None:
        self._region = region = _region(where)
        self.name = _named(f"size_bins(bins={bins}, pool={pool})", region)
        ends = np.stack([region.smallest, region.largest])
        self._codes = np.concatenate([ends, region.draw(pool, rng)])
        sizes = parameters(self._codes)
        edges = np.linspace(sizes.min(), sizes.max(), bins + 1)[1:-1]
        places = np.digitize(sizes, edges)
        self._bins = [np.flatnonzero(places == place) for place in np.unique(places)]

    def draw(self, step: int, rng: np.random.Generator) -> list[Configuration]:
        members = self._bins[rng.integers(len(self._bins))]
        member = members[rng.integers(len(members))]
        return _decoded(self._region, self._codes[member][None])


@final
class Shrinking(PathSampler):
    """One sampler after the other over `updates`, each opening more of the space.

    Progressive shrinking (once-for-all, arXiv:1908.09791, section 3.3).
    """

    def __init__(self, stages: Sequence[PathSampler], updates: int) -> None:
        self._stages, self._updates = tuple(stages), max(1, updates)
        self.leads_with_largest = all(stage.leads_with_largest for stage in stages)
        self.name = f"shrinking over {updates}({', '.join(stage.name for stage in stages)})"

    def draw(self, step: int, rng: np.random.Generator) -> list[Configuration]:
        place = min(step * len(self._stages) // self._updates, len(self._stages) - 1)
        return self._stages[place].draw(step, rng)


def _region(where: Space | Region) -> Region:
    return where if isinstance(where, Region) else Whole(where)


def _named(sampler: str, region: Region) -> str:
    return f"{sampler} in {region.name}" if region.name else sampler


def _decoded(region: Region, codes: Codes) -> list[Configuration]:
    return [region.space.decode(row) for row in codes]
