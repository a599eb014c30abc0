"""Latency as a sum of operators, each priced by what a profile of the device says of its kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, final

from stillhouse.core.cost.latency.cache import Blocks, CacheCosts, by_layout, weights_read
from stillhouse.core.cost.latency.contract import Array, FitReport, LatencyModel
from stillhouse.core.cost.latency.made_up import judged_by_blocks
from stillhouse.core.cost.latency.prices import Price, check_layouts, without_itself
from stillhouse.core.cost.latency.shapes import SESSION, Shape, sites_of
from stillhouse.core.cost.sheet import OperatorSheet


@final
@dataclass(frozen=True, eq=False)
class Roofline(LatencyModel):
    """A session's cost, and for each operator overhead, compute and traffic, one after another.

    The roofline of Williams et al. (CACM 2009) takes the greater of compute and traffic, as if they
    overlapped. At the sizes of small models they hardly do: the sum predicts blocks it has not seen
    better. Prices are by kind and bits (`Shape.layout`). Networks whose weights do not fit the
    caches pay for that besides.
    """

    kind = "roofline"
    session_ms: float
    prices: Mapping[str, Price]
    cache: CacheCosts
    margin: float
    report: FitReport

    @staticmethod
    def fit(blocks: Blocks) -> Roofline:
        """Fit to the milliseconds of single blocks, among them `Shape("session")`.

        Report and margin are those of made-up networks (`judged_by_blocks`) until `judged_on` has
        seen measured ones. Raises `UserError` without the session or with too few others.
        """
        margin, report = judged_by_blocks(blocks, without_itself)
        prices = {of: Price.fit(shapes, ms) for of, (shapes, ms) in by_layout(blocks).items()}
        return Roofline(blocks[Shape(SESSION)], prices, CacheCosts.fit(blocks), margin, report)

    def predict(self, sheet: OperatorSheet) -> Array:
        """Milliseconds, (candidates,). Raises ValueError for a kind that was not profiled."""
        sites = sites_of(sheet)
        check_layouts((site.layout for site in sites), self.prices)
        total = self.session_ms + self.cache.ms(weights_read(sites, sheet.candidates))
        for site in sites:
            total += site.runs * self.prices[site.layout].ms(site.kind, site.cells)
        return total

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "session_ms": self.session_ms,
            "prices": {layout: asdict(price) for layout, price in self.prices.items()},
            "cache": asdict(self.cache),
            "margin": self.margin,
            "report": asdict(self.report),
        }

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Roofline:
        """Raises KeyError, TypeError or ValueError on foreign content."""
        return Roofline(
            float(raw["session_ms"]),
            {layout: Price(**price) for layout, price in raw["prices"].items()},
            CacheCosts(*(tuple(raw["cache"][name]) for name in ("held_bytes", "byte_ms"))),
            float(raw["margin"]),
            FitReport.from_json(raw["report"]),
        )
