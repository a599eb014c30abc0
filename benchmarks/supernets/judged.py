"""Means over seeds with their 95 % intervals, and rank correlation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats


@dataclass(frozen=True)
class Interval:
    """A mean over seeds and half the width of its 95 % t-interval (None for one seed)."""

    mean: float
    half: float | None
    per_seed: tuple[float, ...]

    @staticmethod
    def of(values: Sequence[float]) -> Interval:
        found = np.asarray(values, np.float64)
        half = None
        if len(found) > 1:
            error = found.std(ddof=1) / np.sqrt(len(found))
            half = float(stats.t.ppf(0.975, len(found) - 1) * error)
        return Interval(float(found.mean()), half, tuple(map(float, found)))

    @property
    def below_zero(self) -> bool:
        """Whether the whole interval is; never for one seed."""
        return self.half is not None and self.mean + self.half < 0

    def told(self) -> dict[str, Any]:
        return {"mean": self.mean, "half_95": self.half, "per_seed": list(self.per_seed)}

    def shown(self, digits: int = 3, sign: str = "") -> str:
        spread = "" if self.half is None else f" ± {self.half:.{digits}f}"
        return f"{self.mean:{sign}.{digits}f}{spread}"


def kendall(a: Sequence[float], b: Sequence[float]) -> float:
    """Kendall's tau-b."""
    return float(stats.kendalltau(a, b).statistic)
