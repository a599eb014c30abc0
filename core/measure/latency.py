"""One measured latency. Standard library only: this module travels to devices as it is."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

QUIET, NOISY, THROTTLED = "quiet", "noisy", "throttled"


@dataclass(frozen=True)
class Latency:
    """Timings of one artefact over `repeats` runs, in ms.

    `latency_ms` is that of runs which nothing else disturbed, the median of their quickest quarter:
    what a limit is held against; `low_ms` to `high_ms` is its 95 % confidence interval. `median_ms`
    and `p95_ms` are over all runs. `conditions` says what the machine was doing meanwhile, by a
    reference kernel timed in between: "quiet" (undisturbed moments enough), "noisy" (too few of
    them) or "throttled" (not as fast as it is known to be, not even for moments; `low_ms` allows
    for that).
    """

    latency_ms: float
    p95_ms: float
    repeats: int
    date: str
    median_ms: float
    low_ms: float
    high_ms: float
    conditions: str = QUIET

    def to_json(self) -> dict[str, Any]:
        return asdict(self)
