"""What running a model costs: on the device, on the link, on a server; mean and percentile."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache, partial, reduce
from typing import Final, final

import numpy as np

from stillhouse.core.cost import terms
from stillhouse.core.cost.dynamic import Cost, expected, is_dynamic, quantile_over
from stillhouse.core.cost.energy import energy
from stillhouse.core.cost.energy_table import REFERENCE_BITS, RELATIVE, EnergyTable
from stillhouse.core.cost.latency import LatencyModel
from stillhouse.core.cost.names import P95, base_of
from stillhouse.core.cost.places import DEVICE, SERVER, Link, is_split, network_ms, placed
from stillhouse.core.cost.sheet import Cells, OperatorSheet
from stillhouse.core.cost.table import Formula
from stillhouse.core.errors import UserError

Parts = Sequence[tuple[float, OperatorSheet]]
"""Sheets of the same candidates with the shares of samples that they stand for."""

_PERCENTILE: Final = 0.95


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Pricing:
    """What a device, and a server behind a link, charge for a sheet.

    Without `latency` nothing is known of time. `server_latency` and `link` are needed only for
    models that run in two places. `energy` prices the device.
    """

    latency: LatencyModel | None = None
    server_latency: LatencyModel | None = None
    link: Link | None = None
    energy: EnergyTable = RELATIVE

    def margin(self, cost: str) -> float:
        """The share by which a prediction of this cost may be too low."""
        device, server = _margin(self.latency), _margin(self.server_latency)
        whole = max(device, server)
        margins = {"latency_ms": whole, "latency_p95_ms": whole, "device_ms": device}
        return {**margins, "server_ms": server}.get(base_of(cost), 0.0)

    def device_ms(self, sheet: OperatorSheet) -> Cells:
        """Milliseconds on the device, (candidates,); ValueError without a latency model."""
        if self.latency is None:
            raise ValueError("expected a latency model of the device")
        return _predicted(self.latency, placed(sheet, DEVICE))

    def server_ms(self, sheet: OperatorSheet) -> Cells:
        """Milliseconds on the server, (candidates,); `UserError` when nothing tells them."""
        away = placed(sheet, SERVER)
        if not away.rows:
            return np.zeros(sheet.candidates)
        if self.server_latency is None:
            raise UserError(
                "the recipe runs a part on a server, and nothing tells how fast that is: expected "
                "a latency model of the server"
            )
        return _predicted(self.server_latency, away)

    def network_ms(self, sheet: OperatorSheet) -> Cells:
        """Milliseconds on the link, (candidates,); `UserError` when nothing tells them."""
        if not any(row.kind == "transfer" for row in sheet.rows):
            return np.zeros(sheet.candidates)
        if self.link is None:
            raise UserError(
                "the recipe sends activations over a link, and nothing tells how fast that is: "
                "expected its bytes per second and its round trip"
            )
        return network_ms(sheet, self.link)

    def latency_ms(self, sheet: OperatorSheet) -> Cells:
        """Milliseconds on the device, on the link and on the server, one after another."""
        total = self.device_ms(sheet)
        if is_split(sheet):
            total = total + self.network_ms(sheet) + self.server_ms(sheet)
        return total

    def energy_of(self, sheet: OperatorSheet, table: EnergyTable) -> Cells:
        """Expected energy on the device in the table's unit, (candidates,)."""
        return energy(placed(sheet, DEVICE), table)


def running_costs(parts: Parts, pricing: Pricing) -> dict[str, Formula]:
    """Formulas of all costs of running by name; see `core.cost.names`.

    MACs and latency are of everything that runs anywhere, energy and memory of the device.
    Memory is the most that any of the parts needs.
    """
    relative = partial(pricing.energy_of, table=pricing.energy.relative())
    formulas: dict[str, Formula] = {
        "macs": cache(partial(_mean, parts, terms.macs)),
        "memory_kb": partial(_memory_kb, parts),
        "energy": cache(partial(_mean, parts, relative)),
    }
    summed: dict[str, Cost] = {"macs": terms.macs, "energy": relative}
    if pricing.energy.unit == "joules":
        unit_mj = 1e3 * pricing.energy.mac[REFERENCE_BITS]
        formulas["energy_mj"] = partial(_times, unit_mj, formulas["energy"])
    if pricing.latency is not None:
        timed: dict[str, Cost] = {
            "latency_ms": pricing.latency_ms,
            "device_ms": pricing.device_ms,
            "network_ms": pricing.network_ms,
            "server_ms": pricing.server_ms,
        }
        for name, cost in timed.items():
            formulas[name] = cache(partial(_mean, parts, partial(expected, cost=cost)))
        summed["latency_ms"] = pricing.latency_ms
    for name, cost in summed.items():
        formulas[P95[name]] = partial(_percentile, parts, cost, formulas[name])
    return formulas


def at_length(
    length: int, sheet: Callable[[], OperatorSheet], names: Iterable[str], pricing: Pricing
) -> dict[str, Formula]:
    """`NAME@LENGTH` of all these costs of running; the sheet is made for the first one asked."""
    running = cache(lambda: running_costs(((1.0, sheet()),), pricing))
    return {f"{name}@{length}": partial(lambda n: running()[n](), name) for name in names}


def _times(factor: float, formula: Formula) -> Cells:
    return factor * formula()


def _percentile(parts: Parts, cost: Cost, mean: Formula) -> Cells:
    same = len(parts) == 1 and not is_dynamic(parts[0][1])
    return mean() if same else quantile_over(parts, cost, _PERCENTILE)


def _mean(parts: Parts, cost: Cost) -> Cells:
    """Mean over parts of a cost that already is the mean over each one's samples."""
    if len(parts) == 1:
        return cost(parts[0][1])
    return reduce(np.add, (share * cost(sheet) for share, sheet in parts))


def _memory_kb(parts: Parts) -> Cells:
    peaks = (terms.peak_activation_bytes(placed(sheet, DEVICE)) for _, sheet in parts)
    return reduce(np.maximum, peaks) / 1e3


def _predicted(model: LatencyModel, sheet: OperatorSheet) -> Cells:
    """Milliseconds, 0 for candidates of which nothing runs here."""
    milliseconds = model.predict(sheet)
    used = np.zeros(sheet.candidates, np.bool_)
    for row in sheet.rows:
        used |= np.greater(row["active"] * row["probability"], 0)
        if used.all():
            return milliseconds
    return np.where(used, milliseconds, 0.0)


def _margin(model: LatencyModel | None) -> float:
    return model.margin if model else 0.0
