"""What measurements in several fresh processes come to: one latency and what to expect of the next.

A process lays out memory in its own way and keeps it, so that its median repeats within a
fraction of a percent while the next process may differ by several times as much. What a user will
see is another process still; the interval is about that one.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.measure.latency import NOISY, QUIET, THROTTLED, Latency

if TYPE_CHECKING:
    from stillhouse.core.measure.target import Target

Array = NDArray[np.float64]

_LEVEL: Final = 0.99
_MOST_TIMES: Final = 3
_WARMUP: Final = 10
_CONDITIONS: Final = (QUIET, NOISY, THROTTLED)


def afresh(
    target: Target,
    paths: Sequence[Path],
    anchors: Mapping[Path, float],
    repeats: int,
    processes: int,
    undecided: Callable[[Latency], bool],
) -> list[Latency]:
    """Latency of each artefact in fresh processes, in terms of the anchors' known milliseconds.

    Each process times all artefacts and anchors; its times are divided by how many times slower
    its anchors were than known (median). As long as an artefact is `undecided`, more processes
    follow, up to three times as many. Without anchors the times are what they are.
    """
    runs: list[list[Latency]] = []
    found: list[Latency] = []
    while len(runs) < _MOST_TIMES * processes and (not runs or any(map(undecided, found))):
        runs += target.measure_afresh(
            [*paths, *anchors], repeats=repeats, warmup=_WARMUP, processes=processes
        )
        slowdowns = [slowdown(run[len(paths) :], list(anchors.values())) for run in runs]
        found = combined(runs, slowdowns)[: len(paths)]
    return found


def slowdown(now: Sequence[Latency], known_ms: Sequence[float]) -> float:
    """How many times slower artefacts are than known (median); 1 without any."""
    ratios = [latency.latency_ms / ms for latency, ms in zip(now, known_ms, strict=True)]
    return statistics.median(ratios) if ratios else 1.0


def combined(runs: Sequence[Sequence[Latency]], slowdowns: Sequence[float]) -> list[Latency]:
    """One latency for each artefact of `runs` (processes x artefacts).

    `slowdowns` (processes,) says by what the times of each process are divided. The latency is the
    geometric mean over processes. A new process lies above `low_ms` in 99 of 100 cases, and below
    `high_ms` in 99 of 100: a prediction interval of normal logarithms (Hahn & Meeker 1991, section
    4.7), its deviation pooled over all artefacts, and never narrower than what was seen.
    """
    if len(runs) == 1:
        return [_divided(latency, slowdowns[0]) for latency in runs[0]]
    logs = np.log([[latency.latency_ms for latency in run] for run in runs])
    logs -= np.log(slowdowns)[:, None]
    mean, half = logs.mean(axis=0), _half_width(logs)
    low = np.exp(np.minimum(mean - half, logs.min(axis=0)))
    high = np.exp(np.maximum(mean + half, logs.max(axis=0)))
    return [
        _one([run[i] for run in runs], slowdowns, float(np.exp(mean[i])), (low[i], high[i]))
        for i in range(len(mean))
    ]


def _half_width(logs: Array) -> float:
    from scipy.special import stdtrit

    processes, artefacts = logs.shape
    freedom = (processes - 1) * artefacts
    deviation = np.sqrt(np.square(logs - logs.mean(axis=0)).sum() / freedom)
    return float(stdtrit(freedom, _LEVEL) * deviation * np.sqrt(1 + 1 / processes))


def _one(
    seen: Sequence[Latency],
    slowdowns: Sequence[float],
    latency_ms: float,
    interval: tuple[float, float],
) -> Latency:
    every = [_divided(latency, ratio) for latency, ratio in zip(seen, slowdowns, strict=True)]
    return Latency(
        latency_ms,
        float(np.median([one.p95_ms for one in every])),
        sum(one.repeats for one in every),
        every[-1].date,
        float(np.median([one.median_ms for one in every])),
        float(interval[0]),
        float(interval[1]),
        max((one.conditions for one in every), key=_CONDITIONS.index),
    )


def _divided(latency: Latency, ratio: float) -> Latency:
    return Latency(
        latency.latency_ms / ratio,
        latency.p95_ms / ratio,
        latency.repeats,
        latency.date,
        latency.median_ms / ratio,
        latency.low_ms / ratio,
        latency.high_ms / ratio,
        latency.conditions,
    )
