"""A lock is held by one at a time, goes with its holder, and leaves no file behind."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest

from stillhouse.core.errors import RunDirectoryError
from stillhouse.core.evaluate.artefact_locks import locked, locked_if_free


def ignored(_: float) -> None: ...


def test_a_lock_leaves_no_file_and_makes_the_folder_it_needs(tmp_path: Path) -> None:
    with locked(tmp_path / "deep" / "lock", ignored):
        assert (tmp_path / "deep" / "lock").exists()
    assert not list((tmp_path / "deep").iterdir())


def test_who_waits_is_told_for_how_long_and_then_holds_it(tmp_path: Path) -> None:
    path, told = tmp_path / "lock", []
    held, free = threading.Event(), threading.Event()

    def hold() -> None:
        with locked(path, ignored):
            held.set()
            free.wait(20)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(20)

    def waiting(seconds: float) -> None:
        told.append(seconds)
        free.set()

    with locked(path, waiting), locked_if_free(path) as mine:
        assert not mine
    thread.join()
    assert told
    assert told == sorted(told)
    with locked_if_free(path) as mine:
        assert mine


def test_of_many_processes_one_at_a_time_holds_it(tmp_path: Path, race: Any) -> None:
    inside, broken = tmp_path / "inside", tmp_path / "broken"

    def work() -> None:
        for _ in range(40):
            with locked(tmp_path / "lock", ignored):
                try:
                    inside.touch(exist_ok=False)
                except FileExistsError:
                    race.noted(broken)
                inside.unlink()

    children = [race.forked(work) for _ in range(5)]
    assert [race.ended(child) for child in children] == [0] * 5
    assert not broken.exists()
    assert not (tmp_path / "lock").exists()


def test_a_lock_goes_with_the_process_that_is_killed(tmp_path: Path, race: Any) -> None:
    path = tmp_path / "lock"

    def hold() -> None:
        with locked(path, ignored):
            race.noted(tmp_path / "holds")
            signal.pause()

    child = race.forked(hold)
    race.until(lambda: bool(race.lines(tmp_path / "holds")))
    with locked_if_free(path) as mine:
        assert not mine
    os.kill(child, signal.SIGKILL)
    assert race.ended(child) == -signal.SIGKILL
    assert path.exists()
    with locked_if_free(path) as mine:
        assert mine
    assert not path.exists()


def test_a_link_and_what_is_no_folder_are_refused(tmp_path: Path) -> None:
    (tmp_path / "lock").symlink_to(tmp_path / "elsewhere")
    with (
        pytest.raises(RunDirectoryError, match="cannot be locked"),
        locked_if_free(tmp_path / "lock"),
    ):
        pass
    assert not (tmp_path / "elsewhere").exists()
    (tmp_path / "file").touch()
    with (
        pytest.raises(RunDirectoryError, match="cannot be locked"),
        locked_if_free(tmp_path / "file" / "lock"),
    ):
        pass


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a place that nobody can fill")
def test_where_no_folder_can_be_made_it_says_so_instead_of_trying_for_ever() -> None:
    with (
        pytest.raises(RunDirectoryError, match="must be a folder that you may write"),
        locked_if_free(Path("/proc/none/lock")),
    ):
        pass
