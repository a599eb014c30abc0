"""Latency on a device of which little is measured, from a model of another device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, final

import numpy as np

from stillhouse.core.cost.latency.contract import Array, FitReport, LatencyModel
from stillhouse.core.cost.latency.features import features, matrix
from stillhouse.core.cost.latency.fitted import enough
from stillhouse.core.cost.latency.judging import checked, cross_validated, judged, margin_over
from stillhouse.core.cost.latency.regression import common_factor, ease, prices, reweighted
from stillhouse.core.cost.sheet import OperatorSheet

_STRENGTHS: Final = tuple(10.0**power for power in range(-7, 3))
"""From "the other device says next to nothing" to "this device differs by a factor"."""


@final
@dataclass(frozen=True, eq=False)
class AdaptedLatency(LatencyModel):
    """A base model's milliseconds, each part of them multiplied by a factor of its own.

    Parts are those of the features' work (see `features`) in the base's predictions: `shares`
    are prices that come nearest to these, `factors` what the new device multiplies each price by.
    So one device may have slow operators and another one slow arithmetic, while what the base
    knows beyond prices (a measured block, a kernel's own speed) stays.
    """

    kind = "adapted"
    base: LatencyModel
    shares: Mapping[str, float]
    factors: Mapping[str, float]
    margin: float
    report: FitReport

    @staticmethod
    def fit(base: LatencyModel, sheet: OperatorSheet, measured_ms: Array) -> AdaptedLatency:
        """Adapt to the measured latencies (candidates,) of the sheet's candidates.

        How far the factors may differ is chosen by cross-validation, as are report and margin.
        Raises `UserError` for fewer than five candidates and ValueError as `base.predict` does,
        and for latencies that are not positive numbers.
        """
        measured = enough(checked(sheet, measured_ms))
        columns = features(sheet)
        predicted = base.predict(sheet)
        shares = prices(matrix(columns), predicted)
        parts = _parts(matrix(columns) * shares, predicted)
        tried = [_held_out(parts, measured, strength) for strength in _STRENGTHS]
        errors = [np.mean((found / measured - 1) ** 2) for found in tried]
        best = int(np.argmin(errors))
        factors = reweighted(parts, measured, _STRENGTHS[best])
        shares_of = parts[:, factors > 0] * common_factor(parts, measured) / measured[:, None]
        weight = ease(shares_of, _STRENGTHS[best])
        return AdaptedLatency(
            base,
            dict(zip(columns, shares.tolist(), strict=True)),
            dict(zip(columns, factors.tolist(), strict=True)),
            margin_over(tried[best], measured, weight=weight),
            judged(tried[best], measured),
        )

    def predict(self, sheet: OperatorSheet) -> Array:
        """Milliseconds, (candidates,).

        Raises ValueError where the base does, and when the sheet has work of a kind that the
        candidates adapted to had none of.
        """
        predicted = self.base.predict(sheet)
        columns = features(sheet)
        unknown = [name for name in columns if name not in self.shares]
        if unknown:
            raise ValueError(f"the latency model was adapted without {', '.join(unknown)}")
        before, after = np.zeros(sheet.candidates), np.zeros(sheet.candidates)
        for name, column in columns.items():
            part = self.shares[name] * column
            before += part
            after += self.factors[name] * part
        # Work of which the base has no part at all: as slow as the part that changed most.
        worst = np.full(sheet.candidates, max(self.factors.values()))
        change = np.divide(after, before, out=worst, where=before > 0)
        return np.asarray(predicted * change, np.float64)

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "base": self.base.to_json(),
            "shares": dict(self.shares),
            "factors": dict(self.factors),
            "margin": self.margin,
            "report": asdict(self.report),
        }

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> AdaptedLatency:
        """Raises KeyError, TypeError or ValueError on foreign content."""
        # The package knows all kinds, this one among them.
        from stillhouse.core.cost.latency import from_json

        return AdaptedLatency(
            from_json(raw["base"]),
            {name: float(share) for name, share in dict(raw["shares"]).items()},
            {name: float(factor) for name, factor in dict(raw["factors"]).items()},
            float(raw["margin"]),
            FitReport.from_json(raw["report"]),
        )


def adapted(base: LatencyModel, sheet: OperatorSheet, measured_ms: Array) -> AdaptedLatency:
    """See `AdaptedLatency.fit`: ten measured candidates of a new device are enough."""
    return AdaptedLatency.fit(base, sheet, measured_ms)


def _parts(parts: Array, predicted: Array) -> Array:
    """Parts of the predictions, (candidates, parts), in proportion to the given ones."""
    found: Array = parts * (predicted / parts.sum(axis=1))[:, None]
    return found


def _held_out(parts: Array, measured: Array, strength: float) -> Array:
    return cross_validated(
        measured,
        lambda seen, unseen: parts[unseen] @ reweighted(parts[seen], measured[seen], strength),
    )
