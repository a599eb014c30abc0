"""Timing several things so that they can be compared: interleaved, warmed up, undisturbed.

On a shared machine a core's speed changes by half, for milliseconds or for seconds. Short rounds,
in each of which every artefact runs a few times, spread such phases over all of them; each
artefact's median is taken over the rounds in which it was disturbed least; and rounds are added
until these medians stop falling. (Measured with 64 networks of 0.02 to 0.3 ms on two cores at a
load of 5: the median of 100 runs repeats within 5 %, the median over the quietest sixth of the
rounds within 0.5 %, slow phases of seconds apart.)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.measure.latency import Latency

ClockNs = Callable[[], int]
Samples = NDArray[np.float64]
"""Milliseconds, shape (artefacts, rounds, runs in a round)."""

_RUNS_IN_A_ROUND: Final = 3
_QUIET_SHARE: Final = 0.15
_SETTLED: Final = 0.98
_MOST_PARTS: Final = 40


def interleaved(
    calls: Sequence[Callable[[], object]],
    *,
    repeats: int,
    warmup: int,
    clock: ClockNs,
    date: str,
    span_ms: float = 1000.0,
) -> list[Latency]:
    """Time each call at least `repeats` times in rounds of three, after `warmup` untimed calls.

    Each turn starts with one untimed call more, since the others have emptied the caches. Rounds
    are added, up to twenty times as many, until they have taken `span_ms` altogether and half as
    many runs again lower nine in ten quiet medians by less than 2 %. `clock` counts nanoseconds;
    `date` is written into the results.
    """
    for call in calls:
        for _ in range(warmup):
            call()
    runs = max(1, min(_RUNS_IN_A_ROUND, repeats))
    rounds = max(1, math.ceil(repeats / runs / 2))
    start, settled = clock(), False
    samples = _sampled(calls, rounds, runs, clock)
    for _ in range(_MOST_PARTS - 1):
        if settled and clock() - start >= span_ms * 1e6:
            break
        before = samples
        samples = np.concatenate([before, _sampled(calls, rounds, runs, clock)], axis=1)
        settled = _level(samples, before) >= _SETTLED
    return summarised(samples, date)


def summarised(samples: Samples, date: str) -> list[Latency]:
    """Each artefact's median over its quietest rounds; median and 95th percentile over all."""
    return [
        Latency(
            float(np.median(quietest(rounds))),
            float(np.percentile(rounds, 95)),
            rounds.size,
            date,
            float(np.median(rounds)),
            *_interval(quietest(rounds)),
        )
        for rounds in samples
    ]


def quietest(rounds: NDArray[np.float64]) -> NDArray[np.float64]:
    """The 15 % (at least one) of an artefact's rounds (rounds, runs) with the lowest medians."""
    order = np.argsort(np.median(rounds, axis=1), kind="stable")
    return rounds[order[: max(1, round(_QUIET_SHARE * len(rounds)))]]


def _interval(quiet: NDArray[np.float64]) -> tuple[float, float]:
    """95 % confidence interval of the median from order statistics (Conover 1999, section 3.2)."""
    ordered = np.sort(quiet, axis=None)
    half = 0.98 * math.sqrt(len(ordered))
    low = max(0, math.floor(len(ordered) / 2 - half))
    high = min(len(ordered) - 1, math.ceil(len(ordered) / 2 + half))
    return float(ordered[low]), float(ordered[high])


def _level(samples: Samples, before: Samples) -> float:
    """Quiet medians as a share of what they were before: the lowest tenth of the artefacts."""
    now, then = (
        np.array([np.median(quietest(rounds)) for rounds in each]) for each in (samples, before)
    )
    # A clock too coarse to see a run gives 0 for both.
    share = np.divide(now, then, out=np.ones_like(now), where=then > 0)
    return float(np.quantile(share, 0.1)) if len(share) else 1.0


def _sampled(
    calls: Sequence[Callable[[], object]], rounds: int, runs: int, clock: ClockNs
) -> Samples:
    samples = np.empty((len(calls), rounds, runs))
    for turn in range(rounds):
        for i, call in enumerate(calls):
            samples[i, turn] = _turn(call, runs, clock)
    return samples


def _turn(call: Callable[[], object], runs: int, clock: ClockNs) -> list[float]:
    call()
    times = []
    for _ in range(runs):
        start = clock()
        call()
        times.append((clock() - start) / 1e6)
    return times
