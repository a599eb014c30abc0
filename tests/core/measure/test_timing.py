from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from stillhouse.core.measure import Latency, Reference, interleaved
from stillhouse.core.measure.timing import QUIET_TURNS, Call, quiet_median


class _Machine:
    """A clock, and calls that each take as long as they are told to, times how slow it is."""

    def __init__(self) -> None:
        self.now_ns = 0
        self.slowness: Callable[[float], float] = lambda now_ms: 1.0
        self.log: list[str] = []
        self.slept_s = 0.0

    def clock(self) -> int:
        return self.now_ns

    def sleep(self, seconds: float) -> None:
        self.slept_s += seconds
        self.now_ns += round(seconds * 1e9)

    def _spend(self, ms: float) -> None:
        self.now_ns += round(ms * self.slowness(self.now_ns / 1e6) * 1e6)

    def call(self, name: str, duration_ms: Callable[[int], float]) -> Callable[[], None]:
        def run() -> None:
            self._spend(duration_ms(self.log.count(name)))
            self.log.append(name)

        return run

    def reference(self, best_ms: float | None = 0.01) -> Reference:
        return Reference(best_ms, clock=self.clock, work=lambda: self._spend(0.01))

    def measure(
        self, *calls: Call | tuple[Call, ...], best_ms: float | None = 0.01, **given: float
    ) -> list[Latency]:
        options = {"repeats": 36, "warmup": 0, "span_ms": 0.0, "patience_s": 1.0, **given}
        return interleaved(
            calls,
            clock=self.clock,
            date="2026-01-02",
            reference=self.reference(best_ms),
            sleep=self.sleep,
            **options,  # type: ignore[arg-type]
        )


def test_a_steady_call_takes_as_long_as_it_takes() -> None:
    machine = _Machine()
    (latency,) = machine.measure(machine.call("a", lambda _: 2.5), repeats=12, warmup=4)
    assert (latency.latency_ms, latency.median_ms, latency.p95_ms) == (2.5, 2.5, 2.5)
    assert (latency.repeats, latency.date, latency.conditions) == (12, "2026-01-02", "quiet")
    assert latency.low_ms == pytest.approx(2.5 * 0.985)
    assert latency.high_ms == pytest.approx(2.5 * 1.015)


def test_calls_take_turns_after_warming_up() -> None:
    machine = _Machine()
    calls = [machine.call(name, lambda _: 1.0) for name in "ab"]
    machine.measure(*calls, repeats=6, warmup=2)
    # Two warm-up calls each, then twice: one untimed call and three timed ones of each.
    assert "".join(machine.log) == "aabb" + "aaaabbbb" * 2


def test_neither_warm_up_nor_the_first_call_of_a_turn_counts() -> None:
    machine = _Machine()
    slow = {0, 1, 2, 6}  # two warm-up calls and the first of each of two turns
    (latency,) = machine.measure(
        machine.call("a", lambda i: 50.0 if i in slow else 1.0), repeats=6, warmup=2
    )
    assert (latency.latency_ms, latency.p95_ms) == (1.0, 1.0)


def test_equal_instances_take_turns_and_one_in_bad_memory_does_not_count() -> None:
    machine = _Machine()
    bad, good = machine.call("b", lambda _: 1.12), machine.call("g", lambda _: 1.0)
    (latency,) = machine.measure((bad, good), repeats=12)
    assert "".join(machine.log).startswith("bbbbgggg" * 2)
    assert latency.latency_ms == 1.0


def test_runs_beside_a_slow_reference_do_not_count_however_many_they_are() -> None:
    machine = _Machine()
    # Quiet for 10 ms in every 100.
    machine.slowness = lambda now_ms: 1.0 if now_ms % 100 < 10 else 1.7
    (latency,) = machine.measure(machine.call("a", lambda _: 1.0), repeats=600)
    assert (latency.latency_ms, latency.conditions) == (1.0, "quiet")
    assert latency.median_ms == latency.p95_ms == 1.7


def test_quiet_moments_are_waited_for_until_there_are_enough() -> None:
    machine = _Machine()
    machine.slowness = lambda now_ms: 1.0 if now_ms >= 400 else 1.7
    (latency,) = machine.measure(machine.call("a", lambda _: 1.0))
    assert (latency.latency_ms, latency.conditions) == (1.0, "quiet")
    assert latency.repeats == 36 + 3 * QUIET_TURNS
    assert 0 < machine.slept_s < 0.4


def test_those_that_lack_quiet_turns_get_them_and_the_others_do_not() -> None:
    machine = _Machine()
    # `a` runs 36 times and the untimed ones between 0 and 60 ms; turns of `b` come in between.
    calls = [machine.call(name, lambda _: 1.0) for name in "ab"]
    machine.slowness = lambda now_ms: 1.7 if machine.log[-1:] == ["b"] and now_ms < 200 else 1.0
    found = machine.measure(*calls)
    assert [latency.latency_ms for latency in found] == [1.0, 1.0]
    assert [latency.conditions for latency in found] == ["quiet", "quiet"]
    assert found[0].repeats < found[1].repeats


def test_quiet_turns_that_lie_apart_are_not_enough() -> None:
    machine = _Machine()
    # Three in four of the first twelve turns are disturbed in a way that the reference misses.
    call = machine.call("a", lambda i: 1.3 if i < 48 and i // 4 % 4 else 1.0)
    (latency,) = machine.measure(call)
    assert latency.latency_ms == 1.0
    assert latency.repeats > 36
    assert latency.high_ms < 1.05


def test_turns_that_stay_apart_are_given_up_in_the_end() -> None:
    machine = _Machine()
    (latency,) = machine.measure(machine.call("a", lambda i: 1.0 + i % 7 / 10))
    assert latency.repeats == 3 * 5 * QUIET_TURNS


def test_when_patience_ends_the_interval_reaches_down_to_what_quiet_runs_would_take() -> None:
    machine = _Machine()
    machine.slowness = lambda now_ms: 2.0
    (latency,) = machine.measure(machine.call("a", lambda _: 1.0), patience_s=0.5)
    assert latency.latency_ms == 2.0
    assert latency.conditions == "throttled"
    assert latency.low_ms == pytest.approx(1.0 * 0.985)
    assert latency.high_ms == pytest.approx(2.0 * 1.015)
    assert machine.now_ns < 0.8e9


def test_a_machine_that_slows_down_for_good_is_throttled() -> None:
    machine = _Machine()
    machine.slowness = lambda now_ms: 1.0 if now_ms < 60 else 1.2
    (latency,) = machine.measure(machine.call("a", lambda _: 1.0), best_ms=None, patience_s=0.1)
    assert latency.conditions == "throttled"
    assert latency.low_ms < 1.0 < latency.high_ms


def test_a_machine_with_too_few_quiet_moments_is_noisy() -> None:
    machine = _Machine()
    # Quiet for half a millisecond in 20: long enough for the reference, not for a run.
    machine.slowness = lambda now_ms: 1.0 if now_ms % 20 < 0.5 else 1.7
    (latency,) = machine.measure(machine.call("a", lambda _: 1.0), patience_s=1.5)
    assert latency.conditions == "noisy"
    assert latency.low_ms < 1.0 < latency.high_ms


def test_a_machine_whose_best_level_is_unknown_is_listened_to_first() -> None:
    machine = _Machine()
    machine.slowness = lambda now_ms: 1.0 if now_ms < 20 else 1.7
    (latency,) = machine.measure(
        machine.call("a", lambda _: 1.0), best_ms=None, repeats=12, patience_s=0.1
    )
    assert (latency.latency_ms, latency.conditions) == (1.7, "throttled")


def test_turns_are_added_until_they_have_taken_long_enough() -> None:
    machine = _Machine()
    (latency,) = machine.measure(machine.call("a", lambda _: 1.0), repeats=6, span_ms=50)
    # A turn takes four calls of 1 ms and four readings of 0.02 ms.
    assert latency.repeats == 13 * 3


def test_the_number_of_turns_is_bounded_whatever_the_clock_says() -> None:
    def frozen() -> int:
        return 0

    (latency,) = interleaved([frozen], repeats=6, warmup=0, clock=frozen, date="")
    assert (latency.latency_ms, latency.repeats) == (0.0, 20 * 2 * 3)


def test_fewer_repeats_than_a_turn_has_runs_are_enough() -> None:
    machine = _Machine()
    (latency,) = machine.measure(machine.call("a", lambda _: 3.0), repeats=1)
    assert (latency.latency_ms, latency.repeats) == (3.0, 1)


def test_the_quiet_median_is_that_of_the_lowest_quarter() -> None:
    quiet = np.array([1.0, 2.0, 3.0, 4.0, 50.0, 60.0, 70.0, 80.0, 90.0])
    low, middle, high = quiet_median(quiet, turns=9, between=0.0)
    assert middle == 2.0
    assert (low, high) == (1.0, pytest.approx(3.729, abs=1e-3))


def test_the_interval_covers_the_quartile_in_nineteen_of_twenty_cases() -> None:
    rng = np.random.default_rng(0)
    truth = -np.log(0.875)  # of the exponential distribution
    covered = 0
    for _ in range(400):
        turns = rng.exponential(size=40)
        low, _, high = quiet_median(np.repeat(turns, 3), turns=40, between=0.0)
        covered += low <= truth <= high
    assert covered >= 0.93 * 400
