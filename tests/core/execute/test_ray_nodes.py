"""Ray workers on two nodes of this machine, and what becomes of the cluster itself."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from stillhouse.core.errors import UserError
from stillhouse.core.execute import ExecutionError, Executor, Job, Outcome, Work
from stillhouse.core.execute.ray_cluster import Cluster
from stillhouse.core.execute.ray_workers import RayWorkers

pytest.importorskip("ray", reason="needs the extra ray")

WORK = Work("ray_benches:obedient")


@pytest.fixture(autouse=True)
def benches(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The workers find the tests' benches, and Ray is quiet."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    monkeypatch.setenv("STILLHOUSE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("RAY_DEDUP_LOGS_SKIP_REGEX", ".*")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")


@pytest.fixture
def nodes() -> Iterator[Any]:
    """A head without CPUs of its own and two nodes with one each and a GPU that nobody has."""
    from ray.cluster_utils import Cluster as Nodes

    one = {"num_cpus": 1, "num_gpus": 1, "object_store_memory": 80_000_000}
    head = {"num_cpus": 0, "object_store_memory": 80_000_000, "include_dashboard": False}
    nodes = Nodes(initialize_head=True, head_node_args=head)
    nodes.two = [nodes.add_node(**one), nodes.add_node(**one)]
    yield nodes
    nodes.shutdown()


def done(
    executor: Executor, payloads: Sequence[Mapping[str, Any]], first: int = 0
) -> list[Outcome]:
    executor.submit([Job(first + place, payload) for place, payload in enumerate(payloads)])
    outcomes: list[Outcome] = []
    wait(lambda: len(outcomes.__iadd__(executor.finished(1.0))) == len(payloads))
    return sorted(outcomes, key=lambda outcome: outcome.number)


def wait(until: Callable[[], bool], seconds: float = 90.0) -> None:
    end = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < end


@pytest.mark.slow
def test_a_node_leaves_and_another_comes_and_nothing_is_lost(nodes: Any) -> None:
    sleep = {"do": "sleep", "s": 0.5}
    with RayWorkers(WORK, 2, address=nodes.address, placement="spread") as workers:
        assert len({o.worker for o in done(workers, [{**sleep, "x": n} for n in range(6)])}) == 2
        nodes.remove_node(nodes.two[0], allow_graceful=False)
        outcomes = done(workers, [{**sleep, "x": n} for n in range(6)], 10)
        assert [o.result for o in outcomes] == [{"value": 2 * n} for n in range(6)]

        nodes.add_node(num_cpus=1, object_store_memory=80_000_000)
        wait(lambda: len({o.worker for o in done(workers, [sleep] * 4, 100)}) == 2)


@pytest.mark.slow
def test_two_workers_share_a_gpu(nodes: Any) -> None:
    with RayWorkers(WORK, 5, address=nodes.address, cpus=0, gpus=0.5) as workers:
        wait(lambda: len({o.worker for o in done(workers, [{"do": "sleep", "s": 0.5}] * 8)}) == 4)
        places = [state.place for state in workers.workers()]
    assert places.count("waiting for a place in the cluster") == 1


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def test_where_no_cluster_is_the_error_says_how_to_have_one() -> None:
    address = f"127.0.0.1:{_free_port()}"
    with pytest.raises(ExecutionError) as raised:
        Cluster.connect(address)
    assert str(raised.value) == (
        f"execute: {{address: {address}}}: expected a Ray cluster, found none (nothing answers "
        "there); start one with 'ray start --head' or 'ray up cluster.yaml', or take address: local"
    )
    with pytest.raises(UserError, match="expected local, auto, host:port or ray://host:port"):
        Cluster.connect("head:first")


def test_without_ray_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"pip install 'stillhouse\[ray\]'"):
        RayWorkers(WORK, 1)


DRIVER = """
import json, os, signal, sys
from stillhouse.core.execute import Job, Work
from stillhouse.core.execute.ray_workers import RayWorkers

signal.signal(signal.SIGTERM, signal.SIG_IGN)
with RayWorkers(Work("ray_benches:obedient"), 2, address=sys.argv[2]) as workers:
    workers.submit([Job(0, {"do": "pid"}), Job(1, {"do": "pid"})])
    pids = [outcome.result["pid"] for _ in range(2) for outcome in workers.finished(60)]
    handled = signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    print(json.dumps({"pids": pids, "handled": handled}), flush=True)
    if sys.argv[1] == "wait":
        workers.submit([Job(2, {"do": "sleep", "s": 600})])
        while True:
            workers.finished(60)
"""


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["leave", "wait"])
def test_a_cluster_that_was_started_here_ends_with_its_driver_even_when_that_is_killed(
    ending: str,
) -> None:
    pids = _driven(ending, "local")
    wait(lambda: not any(_lives(pid) for pid in pids), 30)


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["leave", "wait"])
def test_on_a_cluster_that_stays_the_workers_end_with_their_driver(nodes: Any, ending: str) -> None:
    pids = _driven(ending, nodes.address)
    wait(lambda: not any(_lives(pid) for pid in pids), 30)


def _driven(ending: str, address: str) -> list[int]:
    """The workers of a driver that has left, or was killed; it printed nothing of Ray's."""
    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVER, ending, address],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with driver:
        assert driver.stdout is not None
        line = driver.stdout.readline()
        if ending == "wait":
            driver.kill()
        rest = driver.communicate(timeout=60)
    assert rest == ("", "")
    said = json.loads(line)
    assert said["handled"]
    pids: list[int] = said["pids"]
    return pids


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.slow
def test_when_the_head_is_gone_one_error_says_so(nodes: Any) -> None:
    workers = RayWorkers(WORK, 1, address=nodes.address)
    try:
        done(workers, [{"x": 1}])
        workers.submit([Job(1, {"do": "sleep", "s": 600})])
        (head,) = nodes.head_node.all_processes["gcs_server"]
        os.kill(head.process.pid, signal.SIGKILL)
        head.process.wait(10)
        with pytest.raises(ExecutionError, match=r"no longer answers.*resume the run"):
            wait(lambda: bool(workers.finished(10.0)))
    finally:
        workers.close()
