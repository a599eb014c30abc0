"""Timing several things so that they can be compared: interleaved, warmed up, undisturbed.

On a shared machine a core's speed changes by half, for milliseconds or for seconds. So a reference
kernel is timed before and after every run. A run is quiet when both readings lie at the
reference's best level; an artefact's latency is taken over its quiet runs alone; and where quiet
moments are rare, the measurement waits for them and uses them as they come. (Seven networks of
0.08 to 0.25 ms, measured in 12 fresh processes on two cores at a load of 5 to 18: the coefficient
of variation is 18 to 22 % for medians over all runs, 0.5 to 1.2 % for quiet ones.)

Standard library and NumPy only: this module travels to devices as it is.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Final, final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.measure.latency import NOISY, QUIET, THROTTLED, Latency
from stillhouse.core.measure.reference import ClockNs, Reference

Call = Callable[[], object]
Calls = Sequence[Call | tuple[Call, ...]]
"""What to time; a tuple holds equal instances of one thing at different memory addresses."""
Sleep = Callable[[float], object]

QUIET_TURNS: Final = 12
"""An artefact with quiet runs in so many turns, close together, has been measured well."""
PATIENCE_S: Final = 20.0

_RUNS_IN_A_TURN: Final = 3
_MOST_TIMES: Final = 20
_TOLERANCE: Final = 1.08
_PRECISE: Final = 0.05
_ENOUGH: Final = 5
_QUANTILE: Final = 0.125
_LEAST_TURNS: Final = 3
_LOWEST_SHARE: Final = 0.15
_BETWEEN_PROCESSES: Final = 0.015
_LEARNING: Final = 2000
_POLLS: Final = 500
_PAUSE_S: Final = 0.005


def interleaved(
    calls: Calls,
    *,
    repeats: int,
    warmup: int,
    clock: ClockNs,
    date: str,
    span_ms: float = 1000.0,
    reference: Reference | None = None,
    patience_s: float = PATIENCE_S,
    sleep: Sleep = time.sleep,
) -> list[Latency]:
    """Time each call at least `repeats` times in turns of three, after `warmup` untimed calls.

    Each turn starts with one untimed call more, since the others have emptied the caches. Turns
    are added, up to twenty times as many, until they have taken `span_ms` altogether. Calls that
    then lack quiet runs get further turns at quiet moments, until all have enough or `patience_s`
    have passed. Equal instances of one thing take turns about. `clock` counts nanoseconds; `date`
    is written into the results; `reference` knows the machine's best level and learns from this
    measurement.
    """
    runs = max(1, min(_RUNS_IN_A_TURN, repeats))
    instances = [call if isinstance(call, tuple) else (call,) for call in calls]
    timed = [Series(each, runs, clock) for each in instances]
    beside = reference or Reference(clock=clock)
    if math.isinf(beside.best_ms):
        for _ in range(_LEARNING):
            beside.read()
    for call in (call for each in instances for call in each):
        for _ in range(warmup):
            call()
    least, start = max(1, math.ceil(repeats / runs)), clock()
    for turn in range(_MOST_TIMES * least):
        if turn >= least and clock() - start >= span_ms * 1e6:
            break
        for series in timed:
            series.take_turn(beside)
    wanted = min(QUIET_TURNS, least)
    _seek_quiet(timed, beside, wanted, clock() + patience_s * 1e9, clock, sleep)
    return [series.summary(beside, wanted, date) for series in timed]


@final
class Series:
    """One artefact's runs: how long each took, the reference beside it, and in which turn."""

    def __init__(self, instances: tuple[Call, ...], runs: int, clock: ClockNs) -> None:
        self._instances, self._runs, self._clock = instances, runs, clock
        self._ms: list[float] = []
        self._beside_ms: list[float] = []
        self._turn: list[int] = []
        self._turns = 0

    def take_turn(self, reference: Reference, limit_ms: float = math.inf) -> None:
        """Some runs in a row, given up as soon as the reference exceeds the limit."""
        call = self._instances[self._turns % len(self._instances)]
        call()
        self._turns += 1
        before = reference.read()
        for _ in range(self._runs):
            if before > limit_ms:
                return
            start = self._clock()
            call()
            self._ms.append((self._clock() - start) / 1e6)
            after = reference.read()
            self._beside_ms.append(max(before, after))
            self._turn.append(self._turns)
            before = after

    def quiet_turns(self, limit_ms: float) -> int:
        """In how many turns the reference beside some run was at most the limit."""
        return self._turns_of(np.asarray(self._beside_ms) <= limit_ms)

    def settled(self, limit_ms: float, wanted: int) -> bool:
        """Whether quiet turns are enough, and so close together that more would say the same."""
        quiet = np.asarray(self._beside_ms) <= limit_ms
        turns = self._turns_of(quiet)
        if not wanted <= turns < _ENOUGH * wanted:
            return turns >= wanted
        low, middle, high = quiet_median(np.asarray(self._ms)[quiet], turns, between=0.0)
        return high - low <= _PRECISE * middle

    def summary(self, reference: Reference, wanted: int, date: str) -> Latency:
        """The quiet median with its interval; median and 95th percentile over all runs.

        Without quiet runs in at least three turns, those with the lowest reference stand in; then
        the interval reaches down to what they would take if the network slowed as the reference.
        """
        every, beside = np.asarray(self._ms), np.asarray(self._beside_ms)
        best = reference.best_ms
        quiet, excess = beside <= _TOLERANCE * best, 1.0
        turns = self._turns_of(quiet)
        conditions = QUIET if turns >= wanted else _disturbance(reference)
        if turns < min(_LEAST_TURNS, wanted):
            quiet = beside <= np.quantile(beside, _LOWEST_SHARE)
            turns = self._turns_of(quiet)
            excess = float(np.median(beside[quiet])) / best if best else 1.0
        low, middle, high = quiet_median(every[quiet], turns)
        p95, median = float(np.percentile(every, 95)), float(np.median(every))
        return Latency(middle, p95, len(every), date, median, low / excess, high, conditions)

    def _turns_of(self, chosen: NDArray[np.bool_]) -> int:
        return len(np.unique(np.asarray(self._turn)[chosen]))


def quiet_median(
    quiet_ms: NDArray[np.float64], turns: int, between: float = _BETWEEN_PROCESSES
) -> tuple[float, float, float]:
    """Median of the lowest quarter of quiet runs (runs,), between its 95 % confidence limits.

    The lowest quarter, because not all that disturbs a run reaches the readings beside it, and
    because one of two equal instances may lie badly in memory: of 180 sessions three ran 12 %
    slower than the others for as long as they lived, the others within 1 % of each other. The
    limits are order statistics (Conover 1999, section 3.2) for as many independent runs as there
    are turns, widened by the share `between`, which another process, with other memory addresses,
    adds.
    """
    half = 1.96 * math.sqrt(_QUANTILE * (1 - _QUANTILE) / turns)
    places = (max(0.0, _QUANTILE - half), _QUANTILE, min(1.0, _QUANTILE + half))
    low, middle, high = (float(q) for q in np.quantile(quiet_ms, places))
    return low * (1 - between), middle, high * (1 + between)


def _disturbance(reference: Reference) -> str:
    """Throttled: of late the machine has not been as fast as it is known to be for a moment."""
    return NOISY if reference.lately(_TOLERANCE * reference.best_ms) else THROTTLED


def _seek_quiet(
    timed: Sequence[Series],
    reference: Reference,
    wanted: int,
    deadline_ns: float,
    clock: ClockNs,
    sleep: Sleep,
) -> None:
    """More turns at quiet moments for the artefacts that lack them, the poorest first."""
    while True:
        limit_ms = _TOLERANCE * reference.best_ms
        poor = [series for series in timed if not series.settled(limit_ms, wanted)]
        if not poor:
            return
        for series in sorted(poor, key=lambda series: series.quiet_turns(limit_ms)):
            if not _quiet_moment(limit_ms, reference, deadline_ns, clock, sleep):
                return
            series.take_turn(reference, limit_ms)


def _quiet_moment(
    limit_ms: float, reference: Reference, deadline_ns: float, clock: ClockNs, sleep: Sleep
) -> bool:
    """Wait for one; False when the deadline comes first. They may be as short as a millisecond."""
    while clock() < deadline_ns:
        for _ in range(_POLLS):
            if reference.read() <= limit_ms:
                return True
        sleep(_PAUSE_S)
    return False
