"""How many jobs go to a worker at a time."""

from __future__ import annotations

from stillhouse.core.execute.pacing import Pace


def after(*seconds: float) -> Pace:
    pace = Pace()
    for one in seconds:
        pace.took(one)
    return pace


def test_long_jobs_go_one_by_one_and_so_do_those_of_which_nothing_is_known() -> None:
    for pace in (Pace(), after(1.0), after(0.001, 0.2, 0.001)):
        assert (pace.calls, pace.jobs(1000, 2), pace.depth) == (1, 1, 1)


def test_short_jobs_fill_a_call_of_some_milliseconds() -> None:
    assert after(0.02, 0.02).jobs(1000, 2) == 1
    assert after(0.002, 0.002).jobs(1000, 2) == 10
    assert after(0.0).jobs(1000, 2) == 100
    assert after(0.002, 0.002).depth == 20


def test_the_last_jobs_are_shared_among_all_workers() -> None:
    assert after(0.0).jobs(40, 4) == 5
    assert after(0.0).jobs(3, 4) == 1


def test_a_long_job_is_forgotten_after_many_short_ones() -> None:
    pace = after(1.0, *[0.001] * 31)
    assert pace.calls == 1
    pace.took(0.001)
    assert pace.calls == 2
