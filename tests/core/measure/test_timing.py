from __future__ import annotations

from collections.abc import Callable

import numpy as np

from stillhouse.core.measure import interleaved
from stillhouse.core.measure.timing import quietest, summarised


class _Machine:
    """A clock, and calls that each take as long as they are told to."""

    def __init__(self) -> None:
        self.now_ns = 0
        self.log: list[str] = []

    def clock(self) -> int:
        return self.now_ns

    def call(self, name: str, durations_ms: Callable[[int], float]) -> Callable[[], None]:
        def run() -> None:
            self.now_ns += round(durations_ms(self.log.count(name)) * 1e6)
            self.log.append(name)

        return run


def test_a_steady_call_takes_as_long_as_it_takes() -> None:
    machine = _Machine()
    (latency,) = interleaved(
        [machine.call("a", lambda _: 2.5)],
        repeats=12,
        warmup=4,
        clock=machine.clock,
        date="2026-01-02",
        span_ms=0,
    )
    assert latency.latency_ms == 2.5
    assert latency.p95_ms == 2.5
    assert latency.repeats == 12
    assert latency.date == "2026-01-02"


def test_calls_take_turns_after_warming_up() -> None:
    machine = _Machine()
    calls = [machine.call(name, lambda _: 1.0) for name in "ab"]
    interleaved(calls, repeats=6, warmup=2, clock=machine.clock, date="", span_ms=0)
    # Two warm-up calls each, then twice: one untimed call and three timed ones of each.
    assert "".join(machine.log) == "aabb" + "aaaabbbb" * 2


def test_neither_warm_up_nor_the_first_call_of_a_turn_counts() -> None:
    machine = _Machine()
    slow = {0, 1, 2, 6}  # two warm-up calls and the first of each of two turns
    call = machine.call("a", lambda i: 50.0 if i in slow else 1.0)
    (latency,) = interleaved([call], repeats=6, warmup=2, clock=machine.clock, date="", span_ms=0)
    assert (latency.latency_ms, latency.p95_ms) == (1.0, 1.0)


def test_slow_phases_reach_the_95th_percentile_but_not_the_median() -> None:
    samples = np.full((1, 20, 3), 1.0)
    samples[0, 3:] = 1.7
    (latency,) = summarised(samples, "")
    assert latency.latency_ms == 1.0
    assert latency.p95_ms == 1.7
    assert latency.repeats == 60


def test_every_artefact_has_its_own_quiet_rounds() -> None:
    samples = np.full((2, 20, 3), 4.0)
    samples[0, :3] = 1.0
    samples[1, 10:13] = 2.0
    assert [latency.latency_ms for latency in summarised(samples, "")] == [1.0, 2.0]


def test_one_lucky_run_does_not_make_a_round_quiet() -> None:
    rounds = np.array([[3.0, 3.0, 0.1], [2.0, 2.0, 2.0], [5.0, 5.0, 5.0]])
    assert np.array_equal(quietest(rounds), rounds[1:2])


def test_rounds_are_added_until_the_quiet_median_stops_falling() -> None:
    machine = _Machine()
    call = machine.call("a", lambda i: 2.0 if i < 200 else 1.0)
    (latency,) = interleaved([call], repeats=60, warmup=0, clock=machine.clock, date="", span_ms=0)
    # Settled at 2 ms after the 60 runs asked for; the fast phase only starts at the 150th.
    assert (latency.latency_ms, latency.repeats) == (2.0, 60)
    falling = machine.call("b", lambda i: 2.0 * 0.9 ** (i // 40) if i < 200 else 1.0)
    (latency,) = interleaved(
        [falling], repeats=60, warmup=0, clock=machine.clock, date="", span_ms=0
    )
    assert latency.latency_ms == 1.0
    assert latency.repeats > 150


def test_rounds_are_added_until_they_have_taken_long_enough() -> None:
    machine = _Machine()
    call = machine.call("a", lambda _: 1.0)
    (latency,) = interleaved([call], repeats=6, warmup=0, clock=machine.clock, date="", span_ms=50)
    # A round of three runs takes 4 ms with the untimed one, 13 rounds take 52 ms.
    assert latency.repeats == 13 * 3


def test_the_number_of_rounds_is_bounded_whatever_the_clock_says() -> None:
    def frozen() -> int:
        return 0

    (latency,) = interleaved([frozen], repeats=6, warmup=0, clock=frozen, date="")
    assert (latency.latency_ms, latency.repeats) == (0.0, 40 * 3)


def test_fewer_repeats_than_a_round_has_runs_are_enough() -> None:
    machine = _Machine()
    call = machine.call("a", lambda _: 3.0)
    (latency,) = interleaved([call], repeats=1, warmup=0, clock=machine.clock, date="", span_ms=0)
    assert (latency.latency_ms, latency.repeats) == (3.0, 2)
