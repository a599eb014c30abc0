"""Latency as a sum of measured operators, those of other sizes interpolated between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Final, final

import numpy as np

from stillhouse.core.cost.latency.cache import Blocks, CacheCosts, by_layout, weights_read
from stillhouse.core.cost.latency.contract import Array, FitReport, LatencyModel
from stillhouse.core.cost.latency.made_up import judged_by_blocks
from stillhouse.core.cost.latency.prices import Price, check_layouts, without_itself
from stillhouse.core.cost.latency.shapes import (
    SESSION,
    Shape,
    Site,
    cells_of,
    distinct,
    shapes_of,
    sites_of,
    sizes_of,
)
from stillhouse.core.cost.sheet import OperatorSheet

_POWER: Final = 4.0
"""Of the distance, by which the weight of a measured neighbour falls."""


@final
@dataclass(frozen=True, eq=False)
class BlockTable(LatencyModel):
    """A session's cost, and for each operator what was measured for its very shape.

    Networks whose weights do not fit the caches pay for that besides.

    A shape that was not measured costs what its kind's prices say (as the roofline does), times
    how much dearer or cheaper than that the measured shapes near it are: the logarithms of these
    ratios, averaged with weights that fall with the fourth power of the distance between the
    logarithms of the sizes (Shepard 1968). The prices alone count as a neighbour a doubling away.
    """

    kind = "table"
    blocks: Blocks
    margin: float
    report: FitReport

    @staticmethod
    def fit(blocks: Blocks) -> BlockTable:
        """The table of single blocks, `Shape("session")` among them, in milliseconds.

        Report and margin are those of made-up networks (`judged_by_blocks`), whose blocks are all
        interpolated, until `judged_on` has seen measured ones. Raises `UserError` without the
        session or with too few others.
        """
        return BlockTable(dict(blocks), *judged_by_blocks(blocks, _without_itself))

    def predict(self, sheet: OperatorSheet) -> Array:
        """Milliseconds, (candidates,). Raises ValueError for a kind that was not measured."""
        sites = sites_of(sheet)
        check_layouts((site.layout for site in sites), self._surfaces)
        cache = CacheCosts.fit(self.blocks).ms(weights_read(sites, sheet.candidates))
        total = self.blocks[Shape(SESSION)] + cache
        for site in sites:
            total += site.runs * _over_candidates(site, self._surfaces[site.layout])
        return total

    def covered(self, sheet: OperatorSheet) -> float:
        """The share of operators, over all candidates, whose very shape was measured."""
        uses = shapes_of(sheet)
        measured = sum(count for shape, count in uses.items() if shape in self.blocks)
        return measured / max(sum(uses.values()), np.finfo(np.float64).tiny)

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "blocks": [{"shape": shape.to_json(), "ms": ms} for shape, ms in self.blocks.items()],
            "margin": self.margin,
            "report": asdict(self.report),
        }

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> BlockTable:
        """Raises KeyError, TypeError or ValueError on foreign content."""
        blocks = {Shape.from_json(one["shape"]): float(one["ms"]) for one in raw["blocks"]}
        by_layout(blocks)
        return BlockTable(blocks, float(raw["margin"]), FitReport.from_json(raw["report"]))

    @cached_property
    def _surfaces(self) -> dict[str, _Surface]:
        return {of: _Surface(*measured) for of, measured in by_layout(self.blocks).items()}


@final
class _Surface:
    """Time over the sizes of one layout, through every measured shape."""

    def __init__(self, shapes: Sequence[Shape], ms: Array) -> None:
        self.kind, self.price, self.ms = shapes[0].kind, Price.fit(shapes, ms), ms
        cells = cells_of(shapes)
        self.points = _points(self.kind, cells)
        self.ratio = np.log(ms / self.price.ms(self.kind, cells))

    def at(self, cells: Mapping[str, Array]) -> Array:
        """Milliseconds of so many shapes, (shapes,)."""
        points = _points(self.kind, cells)
        distance = np.square(points[:, None] - self.points).sum(axis=2)
        return self._through(distance, self.price.ms(self.kind, cells))

    def without_each(self, prices: Array) -> Array:
        """Every measured shape, priced so, from all others."""
        distance = np.square(self.points[:, None] - self.points).sum(axis=2)
        np.fill_diagonal(distance, np.inf)
        return self._through(distance, prices)

    def _through(self, distance: Array, prices: Array) -> Array:
        nearest = distance.argmin(axis=1)
        at = distance[np.arange(len(distance)), nearest]
        with np.errstate(divide="ignore", invalid="ignore"):
            weights = (at[:, None] / distance) ** (_POWER / 2)
            # Weights are relative to the nearest neighbour's, which is 1.
            total = weights.sum(axis=1) + at ** (_POWER / 2)
            between = prices * np.exp(weights @ self.ratio / total)
        return np.asarray(np.where(at > 0, between, self.ms[nearest]), np.float64)


def _points(kind: str, cells: Mapping[str, Array]) -> Array:
    """Logarithms of the sizes that count, (shapes, sizes)."""
    return np.stack([np.log2(1 + cells[name]) for name in sizes_of(kind)], axis=1)


def _without_itself(shapes: Sequence[Shape], ms: Array) -> Array:
    """Each measured shape from the others, though their prices have seen it, (shapes,)."""
    surface = _Surface(shapes, ms)
    return surface.without_each(without_itself(shapes, ms))


def _over_candidates(site: Site, surface: _Surface) -> Array:
    """Milliseconds of one operator, (candidates,): worked out once for each distinct size."""
    sizes, which = distinct(site)
    found: Array = surface.at(sizes)[which]
    return found
