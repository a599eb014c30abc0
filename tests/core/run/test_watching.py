from __future__ import annotations

import os
import socket
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from stillhouse.core.evaluate import Silent
from stillhouse.core.execute import WorkerState
from stillhouse.core.run.status import Pace, Piece, Status, born
from stillhouse.core.run.watching import Rate, Watching


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Shown:
    """A progress that notes what it is told."""

    def __init__(self) -> None:
        self.told: list[object] = []

    def start(self, label: str, total: int) -> None:
        self.told.append(("start", label, total))

    def advance(self, steps: int = 1, note: str = "") -> None:
        self.told.append(("advance", steps, note))

    def finish(self) -> None:
        self.told.append("finish")

    def workers(self, pace: Pace, workers: Sequence[WorkerState]) -> None:
        self.told.append((pace, workers))

    def stopping(self, text: str) -> None:
        self.told.append(text)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "status.json"


@pytest.fixture
def watching(path: Path, clock: Clock) -> Watching:
    """Its wall clock reads noon of the first day when the other reads 0."""
    noon = 12 * 3600
    return Watching(path, Silent(), name="digits", clock=clock, wall=lambda: noon + clock.now)


def until_written(path: Path, **expected: object) -> Status:
    """The status once it says what is expected; waits a few seconds at most."""
    deadline = time.monotonic() + 5
    while True:
        status = Status.read(path)
        if all(getattr(status, name) == value for name, value in expected.items()):
            return status
        assert time.monotonic() < deadline, status
        time.sleep(0.005)


def test_a_new_run_says_who_drives_it_since_when(watching: Watching, path: Path) -> None:
    with watching:
        status = Status.read(path)
    assert (status.format, status.kind, status.name) == (1, "search", "digits")
    assert (status.state, status.message) == ("running", "")
    assert (status.pid, status.host) == (os.getpid(), socket.gethostname())
    assert status.started == status.updated == "1970-01-01T12:00:00.000+00:00"
    assert status.born == born() > 0


def test_pieces_of_work_are_told_from_the_whole_to_its_parts(
    watching: Watching, clock: Clock
) -> None:
    watching.stage("search")
    watching.start("search", 200)
    watching.advance(3, "best accuracy 0.9")
    watching.start("distil", 40)
    watching.advance(10, "loss 0.5")
    clock.now = 90
    watching.advance()
    clock.now = 100
    status = watching.status()
    assert status.stage == "search"
    assert status.work == [
        Piece("search", 3, 200, "best accuracy 0.9"),
        Piece("distil", 11, 40, "loss 0.5"),
    ]
    assert status.best == "best accuracy 0.9"
    assert status.progressed == "1970-01-01T12:01:30.000+00:00"
    assert status.updated == "1970-01-01T12:01:40.000+00:00"


def test_the_best_outlives_the_search(watching: Watching) -> None:
    watching.start("search", 2)
    watching.advance(2, "best accuracy 0.9")
    watching.finish()
    watching.start("finalists", 3)
    watching.advance(1, "2.1 ms")
    status = watching.status()
    assert status.best == "best accuracy 0.9"
    assert status.work == [Piece("finalists", 1, 3, "2.1 ms")]


def test_evaluations_come_with_rate_and_time_left(watching: Watching, clock: Clock) -> None:
    watching.evaluations(done=40, total=100, failed=1, repeated=0, workers=())
    clock.now = 60
    watching.evaluations(done=60, total=100, failed=2, repeated=3, workers=(), dashboard="http://a")
    status = watching.status()
    assert status.evaluations == Pace(60, 100, 2, 3, per_minute=20.0, left_s=120.0)
    assert status.dashboard == "http://a"


def test_a_worker_has_been_at_its_job_for_longer_by_the_time_it_is_written(
    watching: Watching, clock: Clock
) -> None:
    workers = [WorkerState("a", "here", 7, 1.5, 2, 1000), WorkerState("b", since_s=4.0)]
    watching.evaluations(done=0, total=9, failed=0, repeated=0, workers=workers)
    clock.now = 10
    assert watching.status().workers == [
        WorkerState("a", "here", 7, 11.5, 2, 1000),
        WorkerState("b", since_s=4.0),
    ]


def test_what_is_shown_gets_everything_that_it_can_take(path: Path, clock: Clock) -> None:
    shown, worker = Shown(), WorkerState("a")
    watching = Watching(path, shown, name="digits", clock=clock)
    watching.start("search", 2)
    watching.advance(1, "best 1")
    watching.evaluations(done=1, total=2, failed=0, repeated=0, workers=[worker])
    watching.stopping("finishing")
    watching.finish()
    assert shown.told == [
        ("start", "search", 2),
        ("advance", 1, "best 1"),
        (Pace(1, 2), [worker]),
        "finishing",
        "finish",
    ]


def test_news_is_in_the_file_soon(path: Path) -> None:
    with Watching(path, Silent(), name="digits", every_s=0.01) as watching:
        watching.stage("teacher")
        until_written(path, stage="teacher")
        watching.stopping("finishing 2 running evaluations")
        status = until_written(path, state="stopping")
    assert status.message == "finishing 2 running evaluations"


@pytest.mark.parametrize(
    ("raised", "state", "message"),
    [
        (None, "finished", ""),
        (KeyboardInterrupt(), "stopped", ""),
        (ValueError("no such limit"), "failed", "ValueError: no such limit"),
    ],
)
def test_the_file_says_how_it_ended(
    watching: Watching, path: Path, raised: BaseException | None, state: str, message: str
) -> None:
    try:
        with watching:
            watching.stopping("finishing 1 running evaluation")
            if raised:
                raise raised
    except (KeyboardInterrupt, ValueError) as error:
        assert error is raised  # noqa: PT017 - both kinds, and none
    status = Status.read(path)
    assert (status.state, status.message, status.workers) == (state, message, [])


def test_a_status_that_cannot_be_written_is_no_error(tmp_path: Path, clock: Clock) -> None:
    (tmp_path / "status.json").mkdir()
    with Watching(tmp_path / "status.json", Silent(), name="digits", clock=clock) as watching:
        watching.start("search", 1)
    assert [one.name for one in tmp_path.iterdir()] == ["status.json"]


def test_a_full_disk_keeps_the_last_status_and_the_run(
    watching: Watching, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with watching:
        before = path.read_bytes()
        monkeypatch.setattr(os, "open", _full)
    assert path.read_bytes() == before


def _full(*_: object, **__: object) -> int:
    raise OSError(28, "No space left on device")


def test_a_link_in_place_of_the_file_is_replaced_not_followed(
    watching: Watching, path: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.txt"
    other.write_text("mine")
    path.symlink_to(other)
    with watching:
        assert not path.is_symlink()
    assert other.read_text() == "mine"


def test_being_told_costs_little_when_nothing_is_written(path: Path) -> None:
    watching = Watching(path, Silent(), name="digits")
    workers = [WorkerState(f"w{i}", "node", i) for i in range(1024)]
    costs = []
    for done in range(200):
        began = time.perf_counter()
        watching.evaluations(done=done, total=200, failed=0, repeated=0, workers=workers)
        costs.append(time.perf_counter() - began)
    assert sorted(costs)[100] < 1e-4
    assert not path.exists()


def test_the_rate_counts_from_what_was_known_before() -> None:
    rate = Rate()
    rate.add(0.0, 5000)
    assert rate.per_minute(30.0) is None
    rate.add(30.0, 5010)
    assert rate.per_minute(30.0) == 20.0
    assert rate.per_minute(60.0) == 10.0


def test_the_rate_forgets_what_is_long_ago() -> None:
    rate = Rate(window_s=60.0, least=10)
    for second in range(100):
        rate.add(float(second), second * 10)
    for second in range(100, 200):
        rate.add(float(second), 990 + (second - 99))
    assert rate.per_minute(199.0) == 60.0


def test_slow_evaluations_are_counted_over_longer_than_the_window() -> None:
    rate = Rate(window_s=60.0, least=10)
    for number in range(8):
        rate.add(number * 120.0, number)
    assert rate.per_minute(7 * 120.0) == 0.5


def test_a_status_of_another_version_is_refused(path: Path) -> None:
    path.write_text('{"format": 2}')
    with pytest.raises(ValueError, match="expected format 1, got 2"):
        Status.read(path)
