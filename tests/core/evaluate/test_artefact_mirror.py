"""A shared artefact is seen whole or not at all; damage is mended, and lies are refused."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from stillhouse.core.errors import StoreError
from stillhouse.core.evaluate.artefact_mirror import Mirror, open_mirror
from stillhouse.core.evaluate.artefact_shelf import FolderShelf, Shelf
from stillhouse.core.evaluate.artefact_url import UrlShelf

FILES = {"artefact.safetensors": b"weights", "artefact.json": b"{}", "part/deep/a": b"more"}


@pytest.fixture(params=["folder", "memory"])
def shelf(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shelf]:
    if request.param == "folder":
        yield FolderShelf(tmp_path / "store")
        return
    from fsspec.implementations.memory import MemoryFileSystem

    yield UrlShelf("memory://store", settle_s=0.001)
    MemoryFileSystem.store.clear()
    MemoryFileSystem.pseudo_dirs[:] = [""]


def written(folder: Path, weights: bytes = FILES["artefact.safetensors"]) -> Path:
    for name, content in {**FILES, "artefact.safetensors": weights}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def found(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def fresh(place: Path) -> Path:
    place.mkdir()
    return place


def blob(content: bytes) -> str:
    return f"scope/a-k/{hashlib.sha256(content).hexdigest()}"


def test_what_is_published_is_fetched_as_it_was(shelf: Shelf, tmp_path: Path) -> None:
    assert not Mirror(shelf, "scope").fetched("a-k", fresh(tmp_path / "none"))
    Mirror(shelf, "scope").publish("a-k", written(tmp_path / "own"))
    assert Mirror(shelf, "scope").fetched("a-k", fresh(tmp_path / "got"))
    assert found(tmp_path / "got") == FILES
    assert not Mirror(shelf, "other").fetched("a-k", fresh(tmp_path / "other"))


def test_half_an_upload_is_no_artefact_and_the_rest_completes_it(
    shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, put, placed = written(tmp_path / "own"), shelf.put, []

    def breaks(name: str, source: Path) -> None:
        if placed:
            raise StoreError("gone")
        placed.append(name)
        put(name, source)

    monkeypatch.setattr(shelf, "put", breaks)
    with pytest.raises(StoreError):
        Mirror(shelf, "scope").publish("a-k", own)
    assert not Mirror(shelf, "scope").fetched("a-k", fresh(tmp_path / "half"))
    monkeypatch.undo()
    Mirror(shelf, "scope").publish("a-k", own)
    assert Mirror(shelf, "scope").fetched("a-k", fresh(tmp_path / "got"))
    assert found(tmp_path / "got") == FILES


@pytest.mark.parametrize("content", [b"weight", b"weightz", b"weights and more"])
def test_a_damaged_file_is_never_used_and_is_repaired(
    shelf: Shelf, tmp_path: Path, content: bytes
) -> None:
    own = written(tmp_path / "own")
    Mirror(shelf, "scope").publish("a-k", own)
    shelf.write(blob(b"weights"), content)
    mirror = Mirror(shelf, "scope")
    assert not mirror.fetched("a-k", fresh(tmp_path / "bad"))
    with mirror.claimed("a-k", lambda _: None):
        mirror.publish("a-k", own)
    assert mirror.fetched("a-k", fresh(tmp_path / "got"))
    assert found(tmp_path / "got") == FILES


def test_a_missing_file_and_a_torn_record_are_repaired(shelf: Shelf, tmp_path: Path) -> None:
    own, mirror = written(tmp_path / "own"), Mirror(shelf, "scope")
    mirror.publish("a-k", own)
    whole = shelf.read("scope/a-k/record.json", 10_000)
    assert whole is not None
    shelf.write("scope/a-k/record.json", whole[:-9])
    assert not mirror.fetched("a-k", fresh(tmp_path / "torn"))
    mirror.publish("a-k", own)
    assert shelf.read("scope/a-k/record.json", 10_000) == whole
    assert mirror.fetched("a-k", fresh(tmp_path / "got"))


def test_two_that_publish_what_differs_leave_one_of_the_two_whole(
    shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second begins and ends between the first one's files and its record."""
    first, second = written(tmp_path / "1"), written(tmp_path / "2", weights=b"others")
    write = shelf.write

    def later(name: str, content: bytes) -> None:
        monkeypatch.undo()
        Mirror(shelf, "scope").publish("a-k", second)
        got = fresh(tmp_path / "between")
        assert Mirror(shelf, "scope").fetched("a-k", got)
        assert found(got) == found(second)
        write(name, content)

    monkeypatch.setattr(shelf, "write", later)
    Mirror(shelf, "scope").publish("a-k", first)
    assert Mirror(shelf, "scope").fetched("a-k", fresh(tmp_path / "after"))
    assert found(tmp_path / "after") == FILES


def lies() -> dict[str, Callable[[dict[str, Any]], object]]:
    """Changes of a record that each make it one that no artefact has."""

    def called(name: str) -> Callable[[dict[str, Any]], object]:
        return lambda record: record["files"].update({name: {"bytes": 1, "sha256": "0" * 64}})

    def facts(**changed: Any) -> Callable[[dict[str, Any]], object]:
        return lambda record: record["files"]["artefact.json"].update(changed)

    return {
        "up": called("../escape"), "down and up": called("part/../../escape"),
        "absolute": called("/escape"), "empty": called(""), "backslash": called("..\\escape"),
        "control": called("a\nb"), "itself": called("."), "long": called("a" * 2000),
        "in a file": called("artefact.json/escape"), "below zero": facts(bytes=-1),
        "no number": facts(bytes="7"), "a truth": facts(bytes=True),
        "no digest": facts(sha256="../x"),
        "a list": facts(sha256=["a"] * 64), "another name": lambda r: r.update(name="b-k"),
        "another format": lambda r: r.update(format=2), "no files": lambda r: r.update(files=[]),
        "no weights": lambda r: r["files"].pop("artefact.safetensors"),
    }  # fmt: skip


@pytest.mark.parametrize("lie", lies())
def test_a_record_that_lies_is_refused_and_nothing_is_written(
    shelf: Shelf, tmp_path: Path, lie: str
) -> None:
    mirror = Mirror(shelf, "scope")
    mirror.publish("a-k", written(tmp_path / "own"))
    record = json.loads(shelf.read("scope/a-k/record.json", 10_000) or b"")
    lies()[lie](record)
    shelf.write("scope/a-k/record.json", json.dumps(record).encode())
    with pytest.raises(StoreError, match=r"record.json is no record of an artefact .*; delete it"):
        mirror.fetched("a-k", fresh(tmp_path / "got"))
    assert not list((tmp_path / "got").iterdir())
    assert not (tmp_path / "escape").exists()


def test_more_than_there_is_room_for_is_refused_before_it_comes(
    shelf: Shelf, tmp_path: Path
) -> None:
    mirror = Mirror(shelf, "scope")
    mirror.publish("a-k", written(tmp_path / "own"))
    record = json.loads(shelf.read("scope/a-k/record.json", 10_000) or b"")
    record["files"]["artefact.safetensors"]["bytes"] = 10**18
    shelf.write("scope/a-k/record.json", json.dumps(record).encode())
    with pytest.raises(StoreError, match=r"claims 1e\+12 MB, more than the .* MB free for"):
        mirror.fetched("a-k", fresh(tmp_path / "got"))


def test_links_in_a_folder_lead_nowhere(tmp_path: Path) -> None:
    store, secret = tmp_path / "store", tmp_path / "secret"
    secret.write_bytes(b"weights")
    mirror = Mirror(FolderShelf(store), "scope")
    mirror.publish("a-k", written(tmp_path / "own"))
    place = store / blob(b"weights")
    place.unlink()
    place.symlink_to(secret)
    with pytest.raises(StoreError, match="expected a file, got a link"):
        mirror.fetched("a-k", fresh(tmp_path / "got"))
    (store / "scope" / "b-k").symlink_to(tmp_path / "own")
    with pytest.raises(StoreError, match="a link that leads out"):
        mirror.publish("b-k", tmp_path / "own")
    assert found(tmp_path / "own") == FILES


def test_a_pipe_in_a_folder_is_no_file(tmp_path: Path) -> None:
    mirror = Mirror(FolderShelf(tmp_path / "store"), "scope")
    mirror.publish("a-k", written(tmp_path / "own"))
    place = tmp_path / "store" / blob(b"weights")
    place.unlink()
    os.mkfifo(place)
    with pytest.raises(StoreError, match="cannot be read"):
        mirror.fetched("a-k", fresh(tmp_path / "got"))


def test_an_artefact_takes_room_once_on_a_file_system(tmp_path: Path) -> None:
    own = written(tmp_path / "own")
    mirror = Mirror(FolderShelf(tmp_path / "store"), "scope")
    mirror.publish("a-k", own)
    assert mirror.fetched("a-k", fresh(tmp_path / "got"))
    weights = tmp_path / "got" / "artefact.safetensors"
    assert weights.samefile(own / "artefact.safetensors")
    assert not weights.stat().st_mode & 0o222


def test_what_others_may_write_is_copied(tmp_path: Path) -> None:
    mirror = Mirror(FolderShelf(tmp_path / "store"), "scope")
    mirror.publish("a-k", written(tmp_path / "own"))
    place = tmp_path / "store" / blob(b"weights")
    place.chmod(0o666)
    assert mirror.fetched("a-k", fresh(tmp_path / "got"))
    assert not place.samefile(tmp_path / "got" / "artefact.safetensors")
    assert found(tmp_path / "got") == FILES


def test_a_store_is_a_path_or_a_url(tmp_path: Path) -> None:
    own = written(tmp_path / "own")
    open_mirror(str(tmp_path / "a b")).publish("a-k", own)
    assert open_mirror((tmp_path / "a b").as_uri()).fetched("a-k", fresh(tmp_path / "got"))


def test_what_a_killed_publisher_left_is_swept(tmp_path: Path) -> None:
    mirror = Mirror(FolderShelf(tmp_path / "store"), "scope")
    mirror.publish("a-k", written(tmp_path / "own"))
    (tmp_path / "store/scope/a-k/.writing-left").write_bytes(b"half")
    with mirror.claimed("a-k", lambda _: None):
        pass
    assert not list((tmp_path / "store").rglob(".*"))
