"""Jobs that wait: their order, their attempts, and which of them go alone."""

from __future__ import annotations

from collections.abc import Sequence

from stillhouse.core.execute import Job, Outcome
from stillhouse.core.execute.docket import Docket

ONE, TWO, THREE, FOUR = (Job(number, {}) for number in (1, 2, 3, 4))


def docket(*jobs: Job, retries: int = 2) -> Docket:
    made = Docket(retries)
    made.add(jobs)
    return made


def numbers(jobs: Sequence[Job]) -> list[int]:
    return [job.number for job in jobs]


def test_jobs_are_taken_in_order_and_what_goes_again_goes_first() -> None:
    made = docket(ONE, TWO, THREE)
    taken = made.take(2)
    assert (numbers(taken), len(made)) == ([1, 2], 1)
    made.again(taken)
    assert numbers(made.take(9)) == [1, 2, 3]
    assert made.take(9) == []


def test_suspects_go_alone_and_nothing_goes_behind_them() -> None:
    made = docket(THREE, FOUR)
    made.suspect([ONE, TWO])
    assert made.take(9, before=FOUR) == []
    assert numbers(made.take(9)) == [1]
    assert made.take(9, before=ONE) == []
    assert numbers(made.take(9)) == [2]
    assert made.take(9, before=TWO) == []
    assert numbers(made.take(9)) == [3, 4]


def test_a_suspect_that_was_done_is_one_no_more_and_lost_no_attempt() -> None:
    made = docket(TWO)
    made.suspect([ONE])
    made.take(1)
    outcome = made.done(ONE, {"result": {"value": 1}, "seconds": 0.5}, "worker 2")
    assert outcome == Outcome(1, {"value": 1}, 0.5, "", "worker 2", 1)
    assert numbers(made.take(1, before=ONE)) == [2]


def test_a_job_ends_with_its_last_attempt() -> None:
    made = docket(retries=1)
    assert made.charge(ONE, "hung", "worker 1", 2.0) is None
    assert numbers(made.take(9)) == [1]
    outcome = made.charge(ONE, "hung", "worker 2", 3.0)
    error = "its worker died 2 times during this job: hung"
    assert outcome == Outcome(1, None, 3.0, error, "worker 2", 2)
    assert len(made) == 0


def test_attempts_are_counted_where_the_next_one_succeeds() -> None:
    made = docket()
    made.charge(ONE, "hung", "worker 1", 2.0)
    made.take(1)
    assert made.done(ONE, {"error": "no such width", "seconds": 0.1}, "worker 1") == Outcome(
        1, None, 0.1, "no such width", "worker 1", 2
    )


def test_what_is_withdrawn_is_forgotten() -> None:
    made = docket(ONE, TWO)
    assert made.withdraw() == [1, 2]
    assert made.take(1) == []
