"""Evaluations in processes that share what one of them opened."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stillhouse.core.execute import Job, Outcome
from stillhouse.core.execute.inline import Inline
from stillhouse.core.execute.opening import opened
from stillhouse.core.execute.processes import Processes
from stillhouse.core.execute.wire import Frames, framed

VALUES: list[dict[str, Any]] = [{"value": value} for value in [*range(-3, 20), 100]]


def told(outcomes: list[Outcome]) -> list[tuple[Any, ...]]:
    return [(one.number, one.result, one.error, one.attempts) for one in outcomes]


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_outcomes_are_those_of_evaluations_in_this_process(
    pool: Any, work: Any, spent: Any, workers: int
) -> None:
    inline = Inline(opened(work("arithmetic").opener, {}))
    assert told(spent(pool(workers, "arithmetic"), VALUES)) == told(spent(inline, VALUES))


def test_work_is_opened_once_and_workers_fork_from_it(pool: Any, spent: Any) -> None:
    first, second = pair(spent, pool(2))
    assert first["pid"] != second["pid"]
    openers = {first["opener"], second["opener"], first["zygote"], second["zygote"]}
    assert len(openers) == 1
    assert os.getpid() not in openers


def test_work_on_a_gpu_is_opened_by_each_worker(work: Any, spent: Any) -> None:
    with Processes(work(device="cuda:0"), 2) as processes:
        first, second = pair(spent, processes)
    assert (first["opener"], second["opener"]) == (first["pid"], second["pid"])


def test_workers_have_the_threads_that_the_work_asks_for(work: Any, spent: Any) -> None:
    with Processes(work(threads=3), 1) as processes:
        assert spent(processes, [{}])[0].result["threads"] == "3"


def test_no_worker_is_started_before_there_is_a_job_for_it(pool: Any, spent: Any) -> None:
    processes = pool(4)
    spent(processes, [{}])
    spent(processes, [{}])
    assert sum(state.memory_bytes > 0 for state in processes.workers()) == 1


def test_a_worker_goes_on_while_nobody_waits_for_it(
    pool: Any, spent: Any, tmp_path: Path, until: Any
) -> None:
    processes = pool(1)
    spent(processes, [{}])
    processes.submit([Job(1, {}), Job(2, {"do": "touch", "file": "second"})])
    until((tmp_path / "second").exists)


def test_nobody_waits_behind_a_long_job(pool: Any, ended: Any, spent: Any, tmp_path: Path) -> None:
    processes = pool(2)
    pair(spent, processes)
    processes.submit([Job(0, {"do": "await", "file": "end"}), *(Job(n, {}) for n in range(1, 9))])
    assert [one.number for one in ended(processes, 8)] == [1, 2, 3, 4, 5, 6, 7, 8]
    (tmp_path / "end").touch()
    assert ended(processes, 1)[0].number == 0


def test_jobs_that_nobody_has_begun_are_withdrawn(
    pool: Any, ended: Any, spent: Any, tmp_path: Path, until: Any
) -> None:
    processes = pool(1)
    spent(processes, [{}])
    processes.submit([Job(4, {"do": "await", "file": "end"}), Job(5, {}), Job(6, {})])
    until((tmp_path / "begun-end").exists)
    assert processes.withdraw() == [5, 6]
    (tmp_path / "end").touch()
    assert ended(processes, 1)[0].number == 4
    assert processes.finished() == []


def test_waiting_ends_when_its_time_is_over(pool: Any, ended: Any, tmp_path: Path) -> None:
    processes = pool(1)
    processes.submit([Job(0, {"do": "await", "file": "end"})])
    assert processes.finished(0.01) == []
    (tmp_path / "end").touch()
    assert ended(processes, 1)[0].error == ""


def test_workers_tell_what_they_work_on(pool: Any, ended: Any, tmp_path: Path, until: Any) -> None:
    processes = pool(1)
    processes.submit([Job(7, {"do": "await", "file": "end"})])
    until(lambda: processes.finished(0.01) or (tmp_path / "begun-end").exists())
    (state,) = processes.workers()
    assert (state.name, state.job, state.deaths) == ("worker 1", 7, 0)
    assert state.since_s > 0
    assert state.memory_bytes > 100_000
    (tmp_path / "end").touch()
    ended(processes, 1)
    assert processes.workers()[0].job is None


def test_large_payloads_and_results_arrive_whole(pool: Any, spent: Any) -> None:
    texts = [letter * 3_000_000 for letter in "abc"]
    outcomes = spent(pool(2), [{"do": "echo", "text": text} for text in texts])
    assert [one.result["told"] for one in outcomes] == texts


def test_a_large_spec_arrives_whole(work: Any, spent: Any) -> None:
    inputs = {f"/data/{i}": f"inputs/{i}" for i in range(40_000)}
    with Processes(work("arithmetic", inputs=inputs), 1) as processes:
        assert spent(processes, [{"value": 3}])[0].result == {"square": 9}


def test_a_result_that_json_cannot_hold_is_the_job_s_own_failure(pool: Any, spent: Any) -> None:
    (outcome,) = spent(pool(), [{"do": "object"}])
    assert outcome.error.startswith("TypeError: Object of type object is not JSON serializable")


def test_what_workers_print_is_appended_to_a_file(
    pool: Any, spent: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "workers.log"
    log.write_text("before\n")
    spent(pool(log=log), [{"do": "say"}])
    assert sorted(log.read_text().split()) == ["before", "said", "warned"]
    assert capfd.readouterr() == ("", "")


def test_messages_are_cut_out_of_any_pieces() -> None:
    sent = [{"text": "é" * 20}, {}, {"number": 3}]
    stream, frames = b"".join(framed(message) for message in sent), Frames()
    pieces = [stream[i : i + 5] for i in range(0, len(stream), 5)]
    assert [message for piece in pieces for message in frames.fed(piece)] == sent


def pair(spent: Callable[..., list[Outcome]], processes: Processes) -> list[dict[str, Any]]:
    """What both workers of a pool say of themselves: the one waits for what the other does."""
    orders = [{"do": "await", "file": "met"}, {"do": "touch", "file": "met"}]
    return [dict(one.result or {}) for one in spent(processes, orders)]
