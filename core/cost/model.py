"""Known costs of a recipe's candidates: everything a limit can name, from the sheet alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from typing import Final, final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.cost import terms
from stillhouse.core.cost.dynamic import Lengths, is_dynamic
from stillhouse.core.cost.energy_table import RELATIVE, EnergyTable
from stillhouse.core.cost.file_size import SizeModel
from stillhouse.core.cost.latency import LatencyModel
from stillhouse.core.cost.limits import Limit, violation
from stillhouse.core.cost.names import COST_NAMES, SIZES, lengths_in
from stillhouse.core.cost.places import DEVICE, Link, placed
from stillhouse.core.cost.resident import NAME as RESIDENT
from stillhouse.core.cost.resident import ResidentModel
from stillhouse.core.cost.running import Parts, Pricing, at_length, running_costs
from stillhouse.core.cost.sheet import OperatorSheet
from stillhouse.core.cost.table import CostTable, Formula
from stillhouse.core.errors import UserError
from stillhouse.core.search.sampler import Codes, Costs
from stillhouse.core.space.hashing import rounded

Table = Mapping[str, NDArray[np.float64]]

_LISTED: Final = ("parameters", "macs", "memory_kb", *SIZES)


def counted(sheet: OperatorSheet, energy: EnergyTable = RELATIVE) -> dict[str, NDArray[np.float64]]:
    """Every cost that needs no measurement. `size_bytes` is a lower bound: the weights alone."""
    formulas = _stored(sheet, None) | running_costs(((1.0, sheet),), Pricing(energy=energy))
    return {name: formulas[name]() for name in COST_NAMES if name in formulas}


def sizes(size_bytes: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """One size in the three units a limit may use (1 kB = 1,000 bytes)."""
    return {"size_bytes": size_bytes, "size_kb": size_bytes / 1e3, "size_mb": size_bytes / 1e6}


@final
class RecipeCosts(Costs):
    """Costs through the operator sheet, with a latency and a file-size model once fitted.

    A limit on latency is tightened by the model's margin, so that a candidate that passes here
    rarely fails when it is measured. Tables compute a cost when it is asked for; they list the
    common costs and those that are limited or in `names`.
    """

    def __init__(
        self,
        sheet_of: Callable[[Codes], OperatorSheet],
        limits: Sequence[Limit] = (),
        latency: LatencyModel | None = None,
        size: SizeModel | None = None,
        measured: tuple[Codes, NDArray[np.float64]] | None = None,
        *,
        server_latency: LatencyModel | None = None,
        link: Link | None = None,
        energy: EnergyTable = RELATIVE,
        sheet_at: Callable[[Codes, int], OperatorSheet] | None = None,
        lengths: Lengths | None = None,
        names: Sequence[str] = (),
        resident: ResidentModel | None = None,
    ) -> None:
        """`measured` holds codes (n, width) and their latencies (n,): these are not predicted.

        `sheet_at` gives the sheet for inputs of another length: whatever `sheet_of` does, with
        another input shape. Costs named `NAME@LENGTH` need it, and so do `lengths`: given those,
        costs of running are over inputs of all these lengths, and what was measured at one length
        is no longer taken for them.

        Raises `UserError` for a length without `sheet_at`.
        """
        self._sheet_of, self._size, self._resident = sheet_of, size, resident
        self._sheet_at, self._lengths = sheet_at, lengths
        self._pricing = Pricing(
            latency=latency, server_latency=server_latency, link=link, energy=energy
        )
        self._measured = _Measured(*measured) if measured else None
        self.apart = measured[0] if measured else None
        self.limits = tuple(replace(limit, margin=self._margin(limit.cost)) for limit in limits)
        self.limited = tuple(dict.fromkeys(limit.cost for limit in self.limits))
        self._listed = (*_LISTED, "latency_ms", *self.limited, *names)
        self._at = lengths_in(self._listed)
        wanted = (*self._at, *(lengths.lengths if lengths else ()))
        if sheet_at is None and wanted:
            raise UserError(
                f"nothing tells what this recipe costs for inputs of length {wanted[0]}: expected "
                "costs without @LENGTH"
            )

    def _margin(self, cost: str) -> float:
        if cost == RESIDENT and self._resident:
            return self._resident.margin
        return self._pricing.margin(cost)

    def table(self, codes: Codes) -> CostTable:
        return self._priced(codes)[0]

    def violation(self, codes: Codes) -> NDArray[np.float64]:
        table, told = self._priced(codes)
        predicted = violation(table, self.limits)
        plain = tuple(replace(x, margin=0.0) if x.cost in told else x for x in self.limits)
        if self._measured is None or plain == self.limits:
            return predicted
        known, _ = self._measured.of(codes)
        return np.where(known, violation(table, plain), predicted)

    def _priced(self, codes: Codes) -> tuple[CostTable, Sequence[str]]:
        """The costs, and the names of those that are not predicted for measured candidates."""
        sheet = self._sheet_of(codes)
        running = running_costs(self._parts(codes, sheet), self._pricing)
        formulas = _stored(sheet, self._size) | running
        if resident := self._resident:
            formulas[RESIDENT] = lambda: resident.predict(sheet) / 1e3
        if self._sheet_at is not None:
            for length in self._at:
                sheet_at = partial(self._sheet_at, codes, length)
                formulas |= at_length(length, sheet_at, running, self._pricing)
        told: list[str] = []
        alike = not (self._lengths or is_dynamic(sheet))
        if self._measured and self._pricing.latency and alike:
            told = ["latency_ms", "latency_p95_ms"]
            formulas |= {n: partial(self._measured.instead, codes, formulas[n]) for n in told}
        return CostTable(formulas, self._listed), told

    def _parts(self, codes: Codes, sheet: OperatorSheet) -> Parts:
        if self._lengths is None or self._sheet_at is None:
            return ((1.0, sheet),)
        pairs = zip(self._lengths.shares, self._lengths.lengths, strict=True)
        return [(share, self._sheet_at(codes, length)) for share, length in pairs]


def _stored(sheet: OperatorSheet, size: SizeModel | None) -> dict[str, Formula]:
    """Formulas of what is stored on the device."""
    on_device = cache(partial(placed, sheet, DEVICE))
    size_of = size.predict if size else terms.weight_bytes
    units = cache(lambda: sizes(size_of(on_device())))
    formulas: dict[str, Formula] = {"parameters": lambda: terms.parameters(on_device())}
    return formulas | {unit: partial(lambda n: units()[n], unit) for unit in SIZES}


@final
class _Measured:
    """Latencies of measured candidates, found by the marks of their codes."""

    def __init__(self, codes: Codes, latency_ms: NDArray[np.float64]) -> None:
        marks = rounded(codes)
        order = np.argsort(marks, kind="stable")
        self._marks, self._latency_ms = marks[order], latency_ms[order]

    def of(self, codes: Codes) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
        """Which candidates were measured, (n,), and their latencies (n,), arbitrary for others."""
        if not len(self._marks):
            return np.zeros(len(codes), dtype=np.bool_), np.zeros(len(codes))
        marks = rounded(codes)
        places = np.minimum(np.searchsorted(self._marks, marks), len(self._marks) - 1)
        return self._marks[places] == marks, self._latency_ms[places]

    def instead(self, codes: Codes, predicted: Formula) -> NDArray[np.float64]:
        """Measured latencies where there are any, predicted ones elsewhere."""
        known, latency_ms = self.of(codes)
        return np.where(known, latency_ms, predicted())
