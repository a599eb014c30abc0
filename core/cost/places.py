"""Models that run in two places: what each of them does, and what crosses the link between."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final, final

import numpy as np

from stillhouse.core.cost.sheet import Cells, OperatorSheet
from stillhouse.core.cost.terms import transferred_bytes
from stillhouse.core.errors import UserError

DEVICE: Final = 0
SERVER: Final = 1


@final
@dataclass(frozen=True)
class Link:
    """The connection between device and server; `UserError` for what can be none.

    `round_trip_ms` is for a request without content and its answer.
    """

    bytes_per_s: float
    round_trip_ms: float = 0.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.bytes_per_s) and self.bytes_per_s > 0):
            raise UserError(f"link: expected bytes per second above 0, got {self.bytes_per_s}")
        if not (math.isfinite(self.round_trip_ms) and self.round_trip_ms >= 0):
            raise UserError(
                f"link: expected a round trip of 0 ms or more, got {self.round_trip_ms}"
            )


def is_split(sheet: OperatorSheet) -> bool:
    """Whether any candidate runs anywhere but on the device."""
    return any(
        row.kind == "transfer" or ("place" in row.cells and bool(np.any(row["place"])))
        for row in sheet.rows
    )


def placed(sheet: OperatorSheet, place: int) -> OperatorSheet:
    """What runs at one place: rows are inactive in candidates that run them elsewhere.

    Transfers belong to the link, not to a place.
    """
    if not is_split(sheet):
        return sheet if place == DEVICE else OperatorSheet(sheet.candidates)
    rows = (
        replace(row, cells={**row.cells, "active": row["active"] * np.equal(row["place"], place)})
        for row in sheet.rows
        if row.kind != "transfer"
    )
    return OperatorSheet(sheet.candidates, tuple(rows))


def network_ms(sheet: OperatorSheet, link: Link) -> Cells:
    """Expected milliseconds on the link, (candidates,): all bytes, and one round trip if any.

    Samples that reach a transfer reach all those of higher probability, so a round trip has the
    highest probability among them.
    """
    crossing = np.zeros(sheet.candidates)
    for row in sheet.rows:
        if row.kind == "transfer":
            np.maximum(crossing, row["active"] * row["probability"], out=crossing)
    return transferred_bytes(sheet) / link.bytes_per_s * 1e3 + crossing * link.round_trip_ms
