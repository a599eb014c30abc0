"""What befalls workers, and what comes of their jobs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from stillhouse.core.errors import RunDirectoryError
from stillhouse.core.execute import ExecutionError, Job
from stillhouse.core.execute.processes import Processes

DIE, REST = {"do": "die"}, [{} for _ in range(6)]


def failed(outcome: Any, reason: str, times: str = "3 times") -> bool:
    error = f"its worker died {times} during this job: {reason}"
    return (outcome.result, outcome.error) == (None, error)


def test_a_killed_worker_is_replaced_and_its_job_done_again(pool: Any, spent: Any) -> None:
    processes = pool(1)
    outcomes = spent(processes, [{"do": "die once"}, *REST])
    assert [one.attempts for one in outcomes] == [2, 1, 1, 1, 1, 1, 1]
    assert [one.error for one in outcomes] == [""] * 7
    assert processes.workers()[0].deaths == 1


def test_a_job_that_kills_every_worker_fails_alone(pool: Any, spent: Any) -> None:
    poisonous, *others = spent(pool(2), [DIE, *REST])
    assert failed(poisonous, "ended by signal 9 (SIGKILL); if memory was short, use fewer workers")
    assert poisonous.attempts == 3
    assert [(one.error, one.attempts) for one in others] == [("", 1)] * 6


def test_no_retries_mean_one_attempt(pool: Any, spent: Any) -> None:
    (outcome,) = spent(pool(retries=0), [{"do": "leave"}])
    assert failed(outcome, "ended with exit code 3", "once")


def test_a_job_that_hangs_fails_alone(pool: Any, spent: Any) -> None:
    hung, *others = spent(pool(2, timeout_s=0.2, retries=1), [{"do": "hang"}, *REST])
    assert failed(hung, "took longer than execute.timeout_s allows (0.2 s)", "2 times")
    assert [one.error for one in others] == [""] * 6


def test_a_job_that_takes_too_much_memory_fails_alone(pool: Any, spent: Any) -> None:
    processes = pool(2, memory_mb=60, retries=0)
    large, *others = spent(processes, [{"do": "swell", "bytes": 90_000_000}, *REST])
    assert failed(large, "took more memory than execute.memory_mb allows (60 MB)", "once")
    assert [one.error for one in others] == [""] * 6


def test_a_worker_that_runs_out_of_memory_ends_with_its_attempt(pool: Any, spent: Any) -> None:
    processes = pool(1, retries=1)
    outcome, *others = spent(processes, [{"do": "run out of memory"}, *REST])
    reason = "ran out of memory; use fewer workers, or smaller models"
    assert failed(outcome, reason, "2 times")
    assert [one.error for one in others] == [""] * 6
    assert processes.workers()[0].deaths == 2


def test_a_job_that_waited_behind_a_death_loses_no_attempt(pool: Any, spent: Any) -> None:
    outcomes = spent(pool(1, retries=0), [{}, DIE, {}, DIE, {}])
    assert [one.error == "" for one in outcomes] == [True, False, True, False, True]
    assert [one.attempts for one in outcomes] == [1] * 5


def test_what_ends_everything_is_raised_as_it_was_and_after_what_ended_before(
    pool: Any, ended: Any
) -> None:
    processes = pool(1)
    processes.submit([Job(0, {}), Job(1, {"do": "refuse"})])
    assert ended(processes, 1)[0].error == ""
    with pytest.raises(RunDirectoryError) as raised:
        ended(processes, 1)
    assert (type(raised.value), str(raised.value)) == (
        RunDirectoryError,
        "there: the disk is full",
    )


def test_workers_that_lose_the_process_they_came_from_come_from_a_new_one(
    pool: Any, spent: Any, ended: Any, tmp_path: Path, until: Any
) -> None:
    processes = pool(2, retries=0)
    zygote = spent(processes, [{}])[0].result["zygote"]
    processes.submit([Job(1, {"do": "await", "file": "end"}), *(Job(n, {}) for n in range(2, 5))])
    assert len(ended(processes, 3)) == 3
    until((tmp_path / "begun-end").exists)
    os.kill(zygote, signal.SIGKILL)
    (tmp_path / "end").touch()
    (outcome,) = ended(processes, 1)
    assert (outcome.error, outcome.attempts) == ("", 1)


def test_an_opener_s_refusal_is_raised_as_it_was(pool: Any) -> None:
    processes = pool(2, "refused")
    processes.submit([Job(0, {})])
    with pytest.raises(RunDirectoryError, match="there: expected a run, found none"):
        processes.finished(20)


def test_an_opener_s_refusal_on_a_gpu_is_raised_as_it_was(work: Any) -> None:
    with Processes(work("refused", device="cuda"), 2) as processes:
        processes.submit([Job(0, {})])
        with pytest.raises(RunDirectoryError, match="there: expected a run, found none"):
            processes.finished(20)


@pytest.mark.parametrize(
    ("opener", "said"),
    [
        ("mistaken", "TypeError: expected a spec, got a mistake"),
        ("missing", "expected every worker to find 'process_benches:missing'"),
    ],
)
def test_an_opener_s_mistake_is_told(pool: Any, opener: str, said: str) -> None:
    processes = pool(1, opener)
    processes.submit([Job(0, {})])
    with pytest.raises(ExecutionError, match=said):
        processes.finished(20)


def test_an_opener_that_always_dies_is_given_up_and_quoted(pool: Any, tmp_path: Path) -> None:
    processes = pool(2, "shot", log=tmp_path / "workers.log")
    processes.submit([Job(0, {})])
    with pytest.raises(ExecutionError) as raised:
        processes.finished(20)
    assert (tmp_path / "starts").read_text() == "once\n" * 3
    assert "signal 9 (SIGKILL)" in str(raised.value)
    assert "3 times without a result in between" in str(raised.value)
    assert "the last that was heard of it" in str(raised.value)
    assert "workers.log" in str(raised.value)


def test_a_worker_that_dies_as_it_opens_is_given_up(work: Any, tmp_path: Path) -> None:
    with Processes(work("shot", device="cuda"), 1) as processes:
        processes.submit([Job(0, {})])
        with pytest.raises(ExecutionError, match="a worker was ended by signal 9"):
            processes.finished(20)
    assert (tmp_path / "starts").read_text() == "once\n" * 3


def test_a_hundred_deaths_leave_neither_files_nor_processes_behind(pool: Any, spent: Any) -> None:
    processes = pool(2, retries=0)
    zygote = spent(processes, [DIE, {}])[1].result["zygote"]
    before = opened_files(os.getpid()), opened_files(zygote)
    spent(processes, [DIE, {}] * 100)
    assert max(opened_files(os.getpid()) - before[0], 0) <= 3
    assert opened_files(zygote) == before[1]
    assert len(children(zygote)) <= 2


def test_closing_ends_every_process(work: Any, spent: Any, tmp_path: Path, until: Any) -> None:
    files = opened_files(os.getpid())
    with Processes(work(), 2) as processes:
        zygote = spent(processes, [{}])[0].result["zygote"]
        processes.submit([Job(1, {"do": "await", "file": "end"}), Job(2, {"do": "hang"})])
        until((tmp_path / "begun-end").exists)
        workers = children(zygote)
    assert workers
    # A zygote that is slow to answer is killed, and then the system ends its workers.
    until(lambda: not any(alive(process) for process in [zygote, *workers]))
    assert opened_files(os.getpid()) == files


def test_closing_while_the_work_is_opened_ends_it(work: Any, tmp_path: Path, until: Any) -> None:
    with Processes(work("endless"), 1) as processes:
        processes.submit([Job(0, {})])
        until((tmp_path / "opening").exists)
    assert not alive(int((tmp_path / "opening").read_text()))


def test_no_worker_outlives_a_killed_driver(work: Any, tmp_path: Path, until: Any) -> None:
    driver = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("driver.py")), str(tmp_path)],
        stdout=subprocess.PIPE,
    )
    with driver:
        assert driver.stdout is not None
        facts = [int(word) for word in driver.stdout.readline().split()]
        until((tmp_path / "begun-end").exists)
        driver.kill()
    assert len(facts) == 2
    until(lambda: not any(alive(process) for process in facts))


def test_an_interrupt_from_the_terminal_reaches_the_driver_alone(pool: Any, spent: Any) -> None:
    facts = spent(pool(1), [{}])[0].result
    assert os.getsid(facts["pid"]) == os.getsid(facts["zygote"]) == facts["zygote"]
    os.kill(facts["pid"], signal.SIGINT)
    os.kill(facts["zygote"], signal.SIGINT)
    assert alive(facts["pid"])
    assert alive(facts["zygote"])


def opened_files(process: int) -> int:
    return len(list(Path(f"/proc/{process}/fd").iterdir()))


def alive(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def children(process: int) -> list[int]:
    text = Path(f"/proc/{process}/task/{process}/children").read_text()
    return [int(word) for word in text.split()]


@pytest.mark.slow
def test_a_zygote_that_does_not_listen_is_replaced(pool: Any, spent: Any, ended: Any) -> None:
    processes = pool(1, timeout_s=1.0, retries=0)
    zygote = spent(processes, [{}])[0].result["zygote"]
    os.kill(zygote, signal.SIGSTOP)
    processes.submit([Job(1, {"do": "hang"})])
    (outcome,) = ended(processes, 1)
    assert (outcome.number, outcome.attempts) == (1, 1)
    assert spent(processes, [{}])[0].result["zygote"] != zygote
