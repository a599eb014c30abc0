"""Evaluations by Ray actors on a small cluster of this machine, and what befalls them."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from queue import LifoQueue
from typing import Any

import pytest

from stillhouse.core.errors import DataError, UserError
from stillhouse.core.execute import ExecutionError, Executor, Job, Outcome, Work
from stillhouse.core.execute.inline import Inline
from stillhouse.core.execute.ray_workers import RayWorkers

pytest.importorskip("ray", reason="needs the extra ray")

WORK = Work("ray_benches:obedient")
MIXED: Sequence[Mapping[str, Any]] = [
    *({"x": number} for number in range(40)),
    {"do": "fail"},
    {"do": "sleep", "s": 0.1, "x": 5},
    *({"x": number} for number in range(40)),
]


@pytest.fixture(scope="module", autouse=True)
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Two CPUs of this machine, shared by the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parent))
        patch.syspath_prepend(str(Path(__file__).parent))
        patch.setenv("STILLHOUSE_HOME", str(tmp_path_factory.mktemp("home")))
        patch.setenv("RAY_DEDUP_LOGS_SKIP_REGEX", ".*")
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        import ray

        before = signal.getsignal(signal.SIGTERM)
        ray.init(
            address="local",
            num_cpus=2,
            object_store_memory=150_000_000,
            include_dashboard=False,
            log_to_driver=False,
            logging_level="ERROR",
        )
        signal.signal(signal.SIGTERM, before)
        yield
        ray.shutdown()


def done(
    executor: Executor, payloads: Sequence[Mapping[str, Any]], first: int = 0
) -> list[Outcome]:
    """The outcomes in the order of the payloads."""
    executor.submit([Job(first + place, payload) for place, payload in enumerate(payloads)])
    return ended(executor, len(payloads))


def ended(executor: Executor, count: int) -> list[Outcome]:
    """So many outcomes, in the order of the jobs."""
    outcomes: list[Outcome] = []
    until = time.monotonic() + 60
    while len(outcomes) < count:
        outcomes += executor.finished(1.0)
        assert time.monotonic() < until, executor.workers()
    return sorted(outcomes, key=lambda outcome: outcome.number)


def said(outcomes: Sequence[Outcome]) -> list[tuple[Any, ...]]:
    return [(o.number, o.result, o.error, o.attempts) for o in outcomes]


def test_outcomes_are_those_of_one_process_and_a_dead_workers_jobs_are_done_again(
    tmp_path: Path,
) -> None:
    from ray_benches import obedient

    with RayWorkers(WORK, 2) as workers:
        assert said(done(workers, MIXED)) == said(done(Inline(obedient({})), MIXED))

        deadly = [{"x": 1}, {"do": "die once", "mark": str(tmp_path / "died")}, {"x": 2}]
        outcomes = done(workers, deadly, 100)

    assert [o.result for o in outcomes] == [{"value": 2}, {"value": 0}, {"value": 4}]
    assert [o.attempts for o in outcomes][::2] == [1, 1]


@pytest.mark.slow
def test_answers_belong_to_their_jobs_in_whatever_order_they_are_heard(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("stillhouse.core.execute.ray_crew.SimpleQueue", LifoQueue)
    with RayWorkers(WORK, 1) as workers:
        done(workers, [{"x": 0}])
        workers.submit([Job(number, {"x": number}) for number in range(1, 10)])
        time.sleep(0.3)  # both calls are answered, and the second is heard first
        outcomes = ended(workers, 9)
    assert said(outcomes) == [(n, {"value": 2 * n}, "", 1) for n in range(1, 10)]


@pytest.mark.slow
def test_a_job_that_kills_every_worker_ends_with_an_error_and_the_others_are_done() -> None:
    with RayWorkers(WORK, 2, retries=1) as workers:
        outcomes = done(workers, [{"x": 1}, {"do": "die"}, {"x": 2}, {"x": 3}])
        deaths = sum(state.deaths for state in workers.workers())

    assert said(outcomes) == [
        (0, {"value": 2}, "", 1),
        (
            1,
            None,
            "its worker died 2 times during this job: ended, or its node left the cluster; if "
            "memory was short, use fewer workers",
            2,
        ),
        (2, {"value": 4}, "", 1),
        (3, {"value": 6}, "", 1),
    ]
    # Once more where another job was with it, of which none is known to be guilty.
    assert deaths in (2, 3)


@pytest.mark.slow
def test_files_are_brought_once_to_workers_that_do_not_see_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "weights.bin").write_bytes(bytes(range(256)) * 100_000)
    work = Work(
        "ray_benches:reading",
        {"folder": str(tmp_path)},
        {"artefacts/weights.bin": tmp_path / "weights.bin"},
        threads=1,
    )
    with RayWorkers(
        Work(work.opener, work.spec, {"weights.bin": tmp_path / "weights.bin"}), 1
    ) as w:
        (seen,) = done(w, [{"name": "weights.bin"}])
    assert seen.result == {"brought": False, "size": 25_600_000, "folder": str(tmp_path)}
    assert [path.name for path in tmp_path.iterdir()] == ["weights.bin"]

    monkeypatch.setattr("stillhouse.core.execute.shipping.Token.asked", _of_elsewhere)
    with RayWorkers(work, 2) as workers:
        outcomes = done(workers, [{"name": "artefacts/weights.bin"}] * 6)
    (folder,) = {outcome.result["folder"] for outcome in outcomes if outcome.result}
    assert folder != str(tmp_path)
    assert (Path(folder) / "artefacts/weights.bin").read_bytes() == (
        tmp_path / "weights.bin"
    ).read_bytes()


def _of_elsewhere(token: object) -> str:
    return '{"path": "/nowhere/token", "secret": "x", "sizes": {"/nowhere/weights.bin": 1}}'


def test_what_a_bench_raises_about_the_setup_is_raised_here() -> None:
    with RayWorkers(WORK, 1) as workers:
        workers.submit([Job(0, {"do": "spoil"})])
        with pytest.raises(DataError, match=r"^clips.npz: expected 10 rows, got 3$"):
            ended(workers, 1)


def test_what_ended_before_such_an_error_is_handed_over_first() -> None:
    with RayWorkers(WORK, 1) as workers:
        done(workers, [{"x": 0}])
        workers.submit([Job(number, {"x": number}) for number in range(1, 9)])
        workers.submit([Job(9, {"do": "spoil"})])
        assert [outcome.number for outcome in ended(workers, 8)] == [*range(1, 9)]
        for _ in range(2):
            with pytest.raises(DataError):
                ended(workers, 1)


@pytest.mark.slow
def test_a_worker_that_hangs_is_ended_and_its_job_done_again(tmp_path: Path) -> None:
    jobs = [{"do": "hang once", "mark": str(tmp_path / "hung"), "x": 1}, {"x": 2}]
    with RayWorkers(WORK, 1, timeout_s=2.0) as workers:
        done(workers, [{"x": 0}])
        outcomes = done(workers, jobs, 10)
        always = done(workers, [{"do": "sleep", "s": 60}], 20)

    assert [o.result for o in outcomes] == [{"value": 2}, {"value": 4}]
    assert outcomes[1].attempts == 1
    assert (always[0].result, always[0].attempts) == (None, 3)
    assert always[0].error == (
        "its worker died 3 times during this job: took longer than execute.timeout_s allows (2 s)"
    )


@pytest.mark.slow
def test_a_worker_that_takes_too_much_memory_is_ended() -> None:
    with RayWorkers(WORK, 1, memory_mb=350.0, retries=0) as workers:
        grown, small, raised = done(workers, [{"do": "grow"}, {"x": 2}, {"do": "memory"}])

    assert grown.error == (
        "its worker died once during this job: took more memory than execute.memory_mb allows "
        "(350 MB)"
    )
    assert small.result == {"value": 4}
    assert raised.error.startswith("its worker died once during this job: ran out of memory")


@pytest.mark.slow
def test_a_worker_has_the_threads_of_its_work() -> None:
    with RayWorkers(Work("ray_benches:threads", threads=2), 1) as workers:
        assert [o.result for o in done(workers, [{}])] == [{"threads": "2"}]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("opener", "kind", "text"),
    [
        ("ray_benches:refusing", DataError, "^clips.npz: expected a file, found none$"),
        ("ray_benches:broken", ExecutionError, "worker 1 on .* cannot begin: KeyError: 'weights'"),
        ("ray_benches:dying", ExecutionError, "no worker can be started: every one died 3 times"),
        ("ray_benches:missing", ExecutionError, "expected every worker to find"),
        ("no_such_package:bench", ExecutionError, "install the same packages"),
    ],
)
def test_a_bench_that_cannot_be_opened_ends_in_one_error(
    opener: str, kind: type[Exception], text: str
) -> None:
    with RayWorkers(Work(opener), 1) as workers:
        workers.submit([Job(0, {})])
        with pytest.raises(kind, match=text):
            ended(workers, 1)


@pytest.mark.slow
def test_other_versions_on_a_node_are_refused_naming_both(monkeypatch: pytest.MonkeyPatch) -> None:
    here = {"Python": "3.11", "stillhouse": "9.9", "torch": "2.13"}
    monkeypatch.setattr("stillhouse.core.execute.ray_crew.software", lambda: here)
    with RayWorkers(WORK, 1) as workers:
        workers.submit([Job(0, {})])
        with pytest.raises(ExecutionError, match=r"expected .* as here, got .* on every node"):
            ended(workers, 1)


@pytest.mark.slow
def test_workers_beyond_the_cluster_wait_and_say_so() -> None:
    with RayWorkers(WORK, 5) as workers:
        outcomes = done(workers, [{"do": "sleep", "s": 0.2, "x": n} for n in range(10)])
        places = [state.place for state in workers.workers()]

    assert [o.result for o in outcomes] == [{"value": 2 * n} for n in range(10)]
    assert places.count("waiting for a place in the cluster") == 3


@pytest.mark.slow
def test_where_no_worker_has_a_place_the_error_names_what_was_asked_and_what_there_is() -> None:
    with RayWorkers(WORK, 2, gpus=0.5, patience_s=2.0) as workers:
        workers.submit([Job(0, {})])
        with pytest.raises(ExecutionError) as raised:
            ended(workers, 1)
    assert str(raised.value) == (
        "no worker found a place within 2 s: each asks for 1 CPU and 0.5 GPUs, the cluster has 2 "
        "CPUs and 0 GPUs on 1 node; ask for less with execute: {cpus: ..., gpus: ...}, or add nodes"
    )


@pytest.mark.slow
def test_withdrawn_are_those_that_no_worker_was_sent(tmp_path: Path) -> None:
    mark = tmp_path / "go"
    with RayWorkers(WORK, 2) as workers:
        done(workers, [{"do": "sleep", "s": 0.2}] * 4)
        workers.submit([Job(n, {"do": "until", "mark": str(mark)}) for n in range(10, 16)])
        assert workers.withdraw() == [12, 13, 14, 15]
        assert workers.finished(0.1) == []
        mark.touch()
        assert sorted(o.number for o in ended(workers, 2)) == [10, 11]
        assert workers.finished(5.0) == []


def test_resources_that_ray_does_not_know_are_refused() -> None:
    with pytest.raises(UserError, match=r"gpus: 1.5.*take 1 or 2"):
        RayWorkers(WORK, 1, gpus=1.5)
    with pytest.raises(UserError, match=r"trains on cuda"):
        RayWorkers(Work(WORK.opener, {"device": "cuda:0"}), 1)
