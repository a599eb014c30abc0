"""Several processes and runs that want one artefact: one makes it, the others read it."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest
import torch

from stillhouse.core.distill.parallel import Group
from stillhouse.core.errors import RunDirectoryError, StoreError
from stillhouse.core.evaluate import Artefact, artefact_waiting
from stillhouse.core.evaluate.artefacts import ArtefactStore

RACERS = 5


def made(value: float = 1.0) -> Artefact:
    def part(folder: Path) -> None:
        (folder / "deep").mkdir(parents=True)
        (folder / "deep" / "a.bin").write_bytes(b"whole")

    return Artefact({"w": torch.full((2, 3), value)}, {"note": value}, parts={"part": part})


def never() -> Artefact:
    raise AssertionError("made again")


@pytest.mark.parametrize("shared", [False, True], ids=["one folder", "runs with one store"])
def test_of_processes_that_race_one_makes_and_all_read_the_same(
    tmp_path: Path, race: Any, shared: bool
) -> None:
    calls, here, mirror = tmp_path / "calls", tmp_path / "here", str(tmp_path / "store")

    def make() -> Artefact:
        race.noted(calls)
        race.until(lambda: len(race.lines(here)) == RACERS)
        return made(float(os.getpid()))

    def work(number: int) -> None:
        folder = tmp_path / (f"run{number}" if shared else "run")
        store = ArtefactStore(folder, mirror if shared else None)
        race.noted(here)
        kept = store.memo("a", "k", make)
        race.noted(tmp_path / "values", str(kept.record["note"]))
        assert sorted(path.name for path in folder.iterdir() if path.name != "a-k") in (
            [], [".making-a-k"]
        )  # fmt: skip

    children = [race.forked(lambda number=number: work(number)) for number in range(RACERS)]
    assert [race.ended(child) for child in children] == [0] * RACERS
    assert len(race.lines(calls)) == 1
    assert len(set(race.lines(tmp_path / "values"))) == 1
    assert len(race.lines(tmp_path / "values")) == RACERS
    for folder in tmp_path.glob("run*"):
        assert [path.name for path in folder.iterdir()] == ["a-k"]


@pytest.mark.parametrize("shared", [False, True], ids=["one folder", "runs with one store"])
def test_when_a_maker_is_killed_the_next_goes_on_from_its_checkpoints(
    tmp_path: Path, race: Any, shared: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(artefact_waiting, "_QUIET_S", 0.02)
    checkpoints, mirror = tmp_path / "checkpoints", str(tmp_path / "store")
    checkpoints.mkdir()

    def store(name: str) -> ArtefactStore:
        return ArtefactStore(tmp_path / name, mirror) if shared else ArtefactStore(tmp_path / "one")

    def half() -> Artefact:
        race.noted(checkpoints / "steps", "half")
        signal.pause()
        return made()

    def rest() -> Artefact:
        race.noted(checkpoints / "steps", "rest")
        return Artefact({}, {"steps": race.lines(checkpoints / "steps")})

    class Waits:
        def start(self, label: str, total: int) -> None:
            race.noted(tmp_path / "told", label)

        def advance(self, steps: int = 1, note: str = "") -> None: ...
        def finish(self) -> None:
            race.noted(tmp_path / "told", "over")

    def second() -> None:
        own = store("two")
        own._progress = Waits()
        kept = own.memo("a", "k", rest, checkpoints)
        assert kept.record["steps"] == ["half", "rest"]

    first = race.forked(lambda: store("one").memo("a", "k", half, checkpoints))
    race.until(lambda: race.lines(checkpoints / "steps") == ["half"])
    waiting = race.forked(second)
    race.until(lambda: race.lines(tmp_path / "told") == ["waiting for a-k"])
    os.kill(first, signal.SIGKILL)
    assert race.ended(first) == -signal.SIGKILL
    assert race.ended(waiting) == 0
    assert race.lines(tmp_path / "told") == ["waiting for a-k", "over"]
    assert not checkpoints.exists()
    store("one").memo("a", "k", never)
    assert not list(tmp_path.rglob(".*"))


def test_making_one_artefact_may_ask_for_another_but_not_for_itself(tmp_path: Path) -> None:
    store = ArtefactStore(tmp_path)

    def outer() -> Artefact:
        return Artefact({}, {"inner": store.memo("b", "k", lambda: made(3.0)).record["note"]})

    assert store.memo("a", "k", outer).record == {"inner": 3.0}
    with pytest.raises(RuntimeError, match="making c-k asked for c-k itself"):
        store.memo("c", "k", lambda: store.memo("c", "k", made))
    assert store.memo("c", "k", made).record == {"note": 1.0}


def test_threads_of_a_process_make_one_artefact_once(tmp_path: Path, race: Any) -> None:
    calls: list[int] = []
    begun = threading.Event()

    def make() -> Artefact:
        calls.append(1)
        begun.set()
        race.until(lambda: threading.active_count() > before + 1)
        return made()

    before = threading.active_count()
    threads = [
        threading.Thread(target=lambda: ArtefactStore(tmp_path).memo("a", "k", make))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert begun.is_set()
    assert len(calls) == 1


def test_a_run_takes_what_another_has_published(tmp_path: Path) -> None:
    mirror = (tmp_path / "store").as_uri()
    first = ArtefactStore(tmp_path / "one", mirror).memo("a", "k", lambda: made(2.0))
    kept = ArtefactStore(tmp_path / "two", mirror).memo("a", "k", never)
    assert kept.record == {"note": 2.0}
    assert torch.equal(kept.tensors["w"], first.tensors["w"])
    assert kept.folder == tmp_path / "two" / "a-k"
    assert (kept.folder / "part" / "deep" / "a.bin").read_bytes() == b"whole"


def test_what_other_code_made_is_not_taken(tmp_path: Path) -> None:
    mirror = str(tmp_path / "store")
    ArtefactStore(tmp_path / "one", mirror, scope="old").memo("a", "k", lambda: made(1.0))
    kept = ArtefactStore(tmp_path / "two", mirror, scope="new").memo("a", "k", lambda: made(2.0))
    assert kept.record == {"note": 2.0}


def test_a_lock_that_a_maker_left_when_it_was_killed_is_swept(tmp_path: Path) -> None:
    """It was killed after it stored the artefact: nobody has to make it again."""
    ArtefactStore(tmp_path).memo("a", "k", made)
    (tmp_path / ".making-a-k").touch()
    ArtefactStore(tmp_path).memo("a", "k", never)
    assert [path.name for path in tmp_path.iterdir()] == ["a-k"]


def test_what_is_local_stays_with_its_run_and_says_so_ever_after(tmp_path: Path) -> None:
    mirror = str(tmp_path / "store")

    def measured() -> Artefact:
        return Artefact({}, {"latency_ms": 1.0}, local=True)

    for _ in range(2):
        assert ArtefactStore(tmp_path / "one", mirror).memo("a", "k", measured).local
    ArtefactStore(tmp_path / "one", mirror).memo("b", "k", made, local=True)
    assert not list((tmp_path / "store").rglob("record.json"))
    assert not list((tmp_path / "one").glob(".owed-*"))
    other = ArtefactStore(tmp_path / "two", mirror).memo("a", "k", made)
    assert not other.local


def test_a_run_without_artefacts_leaves_no_folder_behind(tmp_path: Path) -> None:
    def fails() -> Artefact:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        ArtefactStore(tmp_path / "run", str(tmp_path / "store")).memo("a", "k", fails)
    assert not (tmp_path / "run").exists()


def test_what_could_not_be_published_is_kept_and_published_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from stillhouse.core.evaluate.artefact_shelf import FolderShelf

    mirror = str(tmp_path / "store")
    whole = FolderShelf.put

    def full(*_: object) -> None:
        raise StoreError("execute.store: no room")

    monkeypatch.setattr(FolderShelf, "put", full)
    with pytest.raises(StoreError, match="no room"):
        ArtefactStore(tmp_path / "one", mirror).memo("a", "k", lambda: made(2.0))
    # A run without the store goes on with what is there.
    assert ArtefactStore(tmp_path / "one").memo("a", "k", never).record == {"note": 2.0}
    monkeypatch.setattr(FolderShelf, "put", whole)
    assert ArtefactStore(tmp_path / "one", mirror).memo("a", "k", never).record == {"note": 2.0}
    assert not list((tmp_path / "one").glob(".owed-*"))
    assert ArtefactStore(tmp_path / "two", mirror).memo("a", "k", never).record == {"note": 2.0}


def test_a_folder_that_cannot_be_locked_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunDirectoryError, match="cannot be locked"):
        ArtefactStore(tmp_path / "file" / "run").memo("a", "k", made)
    with pytest.raises(StoreError, match=r"store cannot be read .*Not a directory"):
        ArtefactStore(tmp_path / "run", str(tmp_path / "file" / "store")).memo("a", "k", made)


@pytest.mark.parametrize("published", [False, True])
def test_processes_that_train_together_all_make_or_all_read(
    tmp_path: Path, race: Any, published: bool
) -> None:
    """`make` meets the others, as training does, which a lock would keep out."""
    mirror = str(tmp_path / "store")
    if published:
        ArtefactStore(tmp_path / "earlier", mirror).memo("a", "k", made)

    def work(rank: int) -> None:
        torch.distributed.init_process_group(
            "gloo", init_method=f"file://{tmp_path}/meeting", rank=rank, world_size=2
        )
        group = Group.joined()
        store = ArtefactStore(tmp_path / "run", mirror).joined(group, "cpu")

        def inner() -> Artefact:
            race.noted(tmp_path / "inner", str(rank))
            group.wait()
            return made(5.0)

        def make() -> Artefact:
            race.noted(tmp_path / "outer", str(rank))
            total = torch.tensor([rank + 1.0])
            group.add_up([total])
            return made(float(total) + store.memo("b", "k", inner).record["note"])

        noted = store.memo("a", "k", make).record["note"]
        race.noted(tmp_path / "values", str(noted))
        torch.distributed.destroy_process_group()

    children = [race.forked(lambda rank=rank: work(rank)) for rank in range(2)]
    assert [race.ended(child) for child in children] == [0, 0]
    makers = [] if published else ["0", "1"]
    assert sorted(race.lines(tmp_path / "outer")) == makers
    assert sorted(race.lines(tmp_path / "inner")) == makers
    assert race.lines(tmp_path / "values") == ["1.0" if published else "8.0"] * 2
