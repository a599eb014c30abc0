"""Several fresh processes: one latency, and what to expect of the next."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from stillhouse.core.measure import Latency, Target
from stillhouse.core.measure.afresh import afresh, combined, slowdown


def latency(ms: float, conditions: str = "quiet") -> Latency:
    return Latency(ms, 2 * ms, 30, "2026-01-02", 1.1 * ms, 0.99 * ms, 1.01 * ms, conditions)


class Processes:
    """A target's `measure_afresh` with given true times and a spread between processes."""

    def __init__(self, ms: Sequence[float], spread: float, slow: float = 1.0) -> None:
        self.rng, self.calls = np.random.default_rng(0), list[int]()
        self.ms, self.spread, self.slow = np.array(ms), spread, slow

    def measure_afresh(
        self, paths: Sequence[Path], *, repeats: int, warmup: int, processes: int
    ) -> list[list[Latency]]:
        self.calls.append(processes)
        factors = np.exp(self.spread * self.rng.standard_normal((processes, len(self.ms))))
        return [[latency(ms) for ms in run] for run in self.slow * self.ms * factors]


def timed(processes: Processes, anchors: Sequence[float], undecided: Any) -> list[Latency]:
    paths = [Path(str(i)) for i in range(len(processes.ms))]
    known = dict(zip(paths[len(paths) - len(anchors) :], anchors, strict=True))
    asked = paths[: len(paths) - len(anchors)]
    return afresh(cast(Target, processes), asked, known, 30, 3, undecided).latencies


def test_one_process_keeps_its_own_interval() -> None:
    found, _, _ = combined([[latency(2.0), latency(6.0), latency(8.0)]], [3.0, 4.0])
    assert found == Latency(1.0, 2.0, 30, "2026-01-02", 1.1, 0.99, 1.01)


def test_the_latency_is_the_geometric_mean_and_runs_add_up() -> None:
    (found,) = combined([[latency(1.0)], [latency(4.0)]])
    assert found.latency_ms == pytest.approx(2.0)
    assert found.repeats == 60
    assert found.low_ms <= 1.0 < 4.0 <= found.high_ms


def test_processes_that_agree_leave_no_doubt() -> None:
    runs = [[latency(1.0), latency(3.0)]] * 3
    assert [(x.low_ms, x.high_ms) for x in combined(runs)] == [
        pytest.approx((1.0, 1.0)),
        pytest.approx((3.0, 3.0)),
    ]


@pytest.mark.parametrize("anchors", [0, 3])
def test_one_new_process_in_forty_lies_above_the_interval(anchors: int) -> None:
    rng, above, trials = np.random.default_rng(1), 0, 3000
    for _ in range(trials):
        times = np.exp(0.01 * rng.standard_normal((4, 2 + anchors)))
        *runs, new = [[latency(ms) for ms in run] for run in times]
        found = combined(runs, [1.0] * anchors)[0]
        slow = slowdown(new[2:], [1.0] * anchors)
        above += new[0].latency_ms / slow > found.high_ms
    assert 0.012 < above / trials < 0.033


def test_disturbed_processes_widen_the_interval() -> None:
    quiet = combined([[latency(1.0)]] * 3)[0]
    noisy = combined([[latency(1.0, "noisy")]] * 3)[0]
    assert (quiet.low_ms, quiet.high_ms) == pytest.approx((1.0, 1.0))
    assert (noisy.low_ms, noisy.high_ms) == pytest.approx((0.99, 1.01))


def test_a_machine_that_is_slower_as_a_whole_changes_nothing() -> None:
    quick = timed(Processes([1.0, 2.0, 3.0], 0.0), [2.0, 3.0], lambda _: False)
    slow = timed(Processes([1.0, 2.0, 3.0], 0.0, slow=1.4), [2.0, 3.0], lambda _: False)
    assert [one.latency_ms for one in slow] == pytest.approx([one.latency_ms for one in quick])
    assert quick[0].latency_ms == pytest.approx(1.0)


def test_an_undecided_artefact_is_timed_up_to_three_times_as_often() -> None:
    decided, open_ = Processes([1.0], 0.01), Processes([1.0], 0.01)
    timed(decided, [], lambda _: False)
    timed(open_, [], lambda _: True)
    assert (decided.calls, open_.calls) == ([3], [3, 3, 3])


def test_more_processes_narrow_the_interval() -> None:
    few = timed(Processes([1.0] * 4, 0.01), [], lambda _: False)
    many = timed(Processes([1.0] * 4, 0.01), [], lambda _: True)
    width = [np.mean([x.high_ms / x.low_ms for x in found]) for found in (few, many)]
    assert width[1] < width[0]


def test_the_conditions_are_those_of_the_middle_process() -> None:
    runs = [[latency(1.0, "noisy")], [latency(1.0)], [latency(1.0, "throttled")]]
    assert combined(runs)[0].conditions == "noisy"


def test_without_anchors_nothing_is_divided() -> None:
    assert slowdown([], []) == 1.0
