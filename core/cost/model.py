"""Known costs of a recipe's candidates: everything a limit can name, from the sheet alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.cost import terms
from stillhouse.core.cost.file_size import SizeModel
from stillhouse.core.cost.latency import LatencyModel
from stillhouse.core.cost.limits import Limit, violation
from stillhouse.core.cost.sheet import OperatorSheet
from stillhouse.core.search.sampler import Codes, Costs
from stillhouse.core.space.hashing import rounded

Table = Mapping[str, NDArray[np.float64]]


def counted(sheet: OperatorSheet) -> dict[str, NDArray[np.float64]]:
    """Costs that need no measurement. `size_bytes` is a lower bound: the weights alone."""
    weights = terms.weight_bytes(sheet)
    return {
        "parameters": terms.parameters(sheet),
        "macs": terms.macs(sheet),
        "memory_kb": terms.peak_activation_bytes(sheet) / 1e3,
        **sizes(weights),
    }


def sizes(size_bytes: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """One size in the three units a limit may use (1 kB = 1,000 bytes)."""
    return {"size_bytes": size_bytes, "size_kb": size_bytes / 1e3, "size_mb": size_bytes / 1e6}


@final
class RecipeCosts(Costs):
    """Costs through the operator sheet, with a latency and a file-size model once fitted.

    A limit on latency is tightened by the model's margin, so that a candidate that passes here
    rarely fails when it is measured.
    """

    def __init__(
        self,
        sheet_of: Callable[[Codes], OperatorSheet],
        limits: Sequence[Limit] = (),
        latency: LatencyModel | None = None,
        size: SizeModel | None = None,
        measured: tuple[Codes, NDArray[np.float64]] | None = None,
    ) -> None:
        """`measured` holds codes (n, width) and their latencies (n,): these are not predicted."""
        self._sheet_of, self._latency, self._size = sheet_of, latency, size
        self._measured = _Measured(*measured) if measured else None
        self.apart = measured[0] if measured else None
        margin = latency.margin if latency else 0.0
        self._plain = tuple(limits)
        self.limits = tuple(
            replace(limit, margin=margin) if limit.cost == "latency_ms" else limit
            for limit in limits
        )
        self.limited = tuple(dict.fromkeys(limit.cost for limit in self.limits))

    def table(self, codes: Codes) -> Table:
        sheet = self._sheet_of(codes)
        table = counted(sheet)
        if self._size:
            table.update(sizes(self._size.predict(sheet)))
        if self._latency:
            table["latency_ms"] = self._latency.predict(sheet)
            if self._measured:
                known, latency_ms = self._measured.of(codes)
                table["latency_ms"] = np.where(known, latency_ms, table["latency_ms"])
        return table

    def violation(self, codes: Codes) -> NDArray[np.float64]:
        table = self.table(codes)
        predicted = violation(table, self.limits)
        if not self._measured:
            return predicted
        known, _ = self._measured.of(codes)
        return np.where(known, violation(table, self._plain), predicted)


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
