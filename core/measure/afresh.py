"""What measurements in several fresh processes come to: one latency and what to expect of the next.

A process lays out memory in its own way and keeps it, so that its median repeats within a
fraction of a percent while the next process may differ by several times as much. What a user will
see is another process still; the interval is about that one.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.measure.latency import NOISY, QUIET, THROTTLED, Latency

if TYPE_CHECKING:
    from stillhouse.core.measure.target import Target

Array = NDArray[np.float64]

_LEVEL: Final = 0.975
_MOST_TIMES: Final = 3
_WARMUP: Final = 10
_CONDITIONS: Final = (QUIET, NOISY, THROTTLED)


@dataclass(frozen=True, eq=False)
class Afresh:
    """Latencies in terms of the anchors, and how many times slower those are than known."""

    latencies: list[Latency]
    slowdown: float


def afresh(
    target: Target,
    paths: Sequence[Path],
    anchors: Mapping[Path, float],
    repeats: int,
    processes: int,
    undecided: Callable[[Latency], bool],
) -> Afresh:
    """Latency of each artefact in fresh processes, in terms of the anchors' known milliseconds.

    Each process times all artefacts and anchors; its times are divided by how many times slower
    its anchors were than known (median). As long as an artefact is `undecided`, or was disturbed,
    more processes follow, up to three times as many. Without anchors the times are what they are.
    """
    runs: list[list[Latency]] = []
    found: list[Latency] = []
    known_ms = list(anchors.values())
    while len(runs) < _MOST_TIMES * processes and (
        not runs or any(undecided(one) or one.conditions != QUIET for one in found)
    ):
        runs += target.measure_afresh(
            [*paths, *anchors], repeats=repeats, warmup=_WARMUP, processes=processes
        )
        found = combined(runs, known_ms)[: len(paths)]
    slow = [slowdown(run[len(paths) :], known_ms) for run in runs]
    return Afresh(found, float(np.median(slow)))


def slowdown(now: Sequence[Latency], known_ms: Sequence[float]) -> float:
    """How many times slower artefacts are than known (median); 1 without any."""
    ratios = [latency.latency_ms / ms for latency, ms in zip(now, known_ms, strict=True)]
    return statistics.median(ratios) if ratios else 1.0


def combined(runs: Sequence[Sequence[Latency]], known_ms: Sequence[float] = ()) -> list[Latency]:
    """One latency for each artefact of `runs` (processes x artefacts).

    The last artefacts are anchors, one for each of `known_ms`: the times of a process are divided
    by how many times slower its anchors were. The latency is the geometric mean over processes. A
    new process lies between `low_ms` and `high_ms` in 95 of 100 cases: a prediction interval of
    normal logarithms (Hahn & Meeker 1991, section 4.7), its deviation pooled over all artefacts,
    and never narrower than what was seen. Of an artefact that most processes were disturbed in,
    the interval reaches as far as theirs.
    """
    ratios = _ratios(runs, known_ms)
    if len(runs) == 1:
        return [
            divided(latency, float(ratio))
            for latency, ratio in zip(runs[0], ratios[0], strict=True)
        ]
    logs = np.log([[latency.latency_ms for latency in run] for run in runs]) - np.log(ratios)
    mean, half = logs.mean(axis=0), _half_width(logs)
    low = np.exp(np.minimum(mean - half, logs.min(axis=0)))
    high = np.exp(np.maximum(mean + half, logs.max(axis=0)))
    return [
        _one([run[i] for run in runs], ratios[:, i], float(np.exp(mean[i])), (low[i], high[i]))
        for i in range(len(mean))
    ]


def _ratios(runs: Sequence[Sequence[Latency]], known_ms: Sequence[float]) -> Array:
    """By what each time is divided, (processes, artefacts).

    An anchor's own time is left out of what it is divided by: it would hide its own spread.
    """
    others = len(runs[0]) - len(known_ms)
    out = np.empty((len(runs), len(runs[0])))
    for row, run in zip(out, runs, strict=True):
        row[:others] = slowdown(run[others:], known_ms)
        for i in range(len(known_ms)):
            now = [latency for j, latency in enumerate(run[others:]) if j != i]
            row[others + i] = slowdown(now, [ms for j, ms in enumerate(known_ms) if j != i])
    return out


def _half_width(logs: Array) -> float:
    from scipy.special import stdtrit

    processes, artefacts = logs.shape
    freedom = (processes - 1) * artefacts
    deviation = np.sqrt(np.square(logs - logs.mean(axis=0)).sum() / freedom)
    return float(stdtrit(freedom, _LEVEL) * deviation * np.sqrt(1 + 1 / processes))


def _one(
    seen: Sequence[Latency],
    ratios: Array,
    latency_ms: float,
    interval: tuple[float, float],
) -> Latency:
    every = [divided(one, float(ratio)) for one, ratio in zip(seen, ratios, strict=True)]
    low, high = interval
    conditions = sorted((one.conditions for one in every), key=_CONDITIONS.index)[len(every) // 2]
    if conditions != QUIET:
        low = min(low, float(np.median([one.low_ms for one in every])))
        high = max(high, float(np.median([one.high_ms for one in every])))
    return Latency(
        latency_ms,
        float(np.median([one.p95_ms for one in every])),
        sum(one.repeats for one in every),
        every[-1].date,
        float(np.median([one.median_ms for one in every])),
        float(low),
        float(high),
        conditions,
    )


def divided(latency: Latency, ratio: float) -> Latency:
    """All times of a latency divided by a ratio."""
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
