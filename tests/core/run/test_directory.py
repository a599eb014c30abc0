"""A run directory has one owner, and nothing in it is ever half written."""

from __future__ import annotations

from pathlib import Path

import pytest

from stillhouse.core.atomic import write_atomically
from stillhouse.core.errors import RunDirectoryError
from stillhouse.core.run.directory import RunDirectory


def test_a_second_owner_is_refused(tmp_path: Path) -> None:
    RunDirectory.create(tmp_path / "run", "a: 1\n")
    with (
        RunDirectory.existing(tmp_path / "run"),
        pytest.raises(RunDirectoryError, match="another process"),
        RunDirectory.existing(tmp_path / "run"),
    ):
        pass


def test_a_started_run_is_not_overwritten_unasked(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    RunDirectory.create(folder, "a: 1\n").ledger.write_text("{}\n")
    with pytest.raises(RunDirectoryError, match="--resume"):
        RunDirectory.create(folder, "a: 2\n")
    assert RunDirectory.create(folder, "a: 3\n", overwrite=True).run_file.read_text() == "a: 3\n"
    assert not (folder / "ledger.jsonl").exists()


def test_a_run_that_never_started_may_be_replaced(tmp_path: Path) -> None:
    RunDirectory.create(tmp_path / "run", "a: 1\n")
    assert RunDirectory.create(tmp_path / "run", "b: 1\n").run_file.read_text() == "b: 1\n"


def test_a_folder_with_a_run_file_of_the_users_is_no_run(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("mine")
    with pytest.raises(RunDirectoryError, match="no run"):
        RunDirectory.create(tmp_path, "a: 1\n", overwrite=True)
    with pytest.raises(RunDirectoryError, match="expected a run directory"):
        RunDirectory.existing(tmp_path)
    assert (tmp_path / "run.yaml").read_text() == "mine"


@pytest.mark.parametrize("work", ["ledger.jsonl", "artefacts", "checkpoints"])
def test_any_trace_of_work_protects_a_run(tmp_path: Path, work: str) -> None:
    RunDirectory.create(tmp_path / "run", "a: 1\n")
    (tmp_path / "run" / work).mkdir()
    with pytest.raises(RunDirectoryError, match="--overwrite"):
        RunDirectory.create(tmp_path / "run", "b: 1\n")


def test_a_replaced_run_comes_back_when_the_new_one_fails_before_it_is_settled(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "run"
    RunDirectory.create(folder, "old\n").ledger.write_text("precious\n")
    new = RunDirectory.create(folder, "new\n", overwrite=True)
    with pytest.raises(ValueError, match="impossible"), new:
        raise ValueError("impossible")
    assert (folder / "ledger.jsonl").read_text() == "precious\n"
    assert (folder / "run.yaml").read_text() == "old\n"
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


def test_a_replaced_run_goes_once_the_new_one_is_settled(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    RunDirectory.create(folder, "old\n").ledger.write_text("precious\n")
    with RunDirectory.create(folder, "new\n", overwrite=True) as new:
        new.settled()
    assert (folder / "run.yaml").read_text() == "new\n"
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


def test_a_folder_that_is_no_run_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("x")
    with pytest.raises(RunDirectoryError, match="no run"):
        RunDirectory.create(tmp_path, "a: 1\n", overwrite=True)
    assert (tmp_path / "precious.txt").read_text() == "x"


def test_a_file_in_the_way_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(RunDirectoryError, match="no run"):
        RunDirectory.create(tmp_path / "file", "a: 1\n")


def test_resuming_what_is_no_run_says_how_to_start_one(tmp_path: Path) -> None:
    with pytest.raises(RunDirectoryError, match="stillhouse search RUN_FILE"):
        RunDirectory.existing(tmp_path)


def test_leftovers_of_a_killed_process_are_swept(tmp_path: Path) -> None:
    directory = RunDirectory.create(tmp_path / "run", "a: 1\n")
    (directory.folder / "artefacts" / ".writing-x").mkdir(parents=True)
    (directory.folder / ".writing-y").write_text("half")
    with directory:
        assert not list(directory.folder.rglob(".writing-*"))


def test_writing_replaces_the_whole_file(tmp_path: Path) -> None:
    write_atomically(tmp_path / "a", "long old text")
    write_atomically(tmp_path / "a", "new")
    assert (tmp_path / "a").read_text() == "new"
    assert [p.name for p in tmp_path.iterdir()] == ["a"]
