"""URLs of stores: what cannot be opened, and leases that keep machines from the same work."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stillhouse.core.errors import StoreError, UserError
from stillhouse.core.evaluate.artefact_mirror import open_mirror
from stillhouse.core.evaluate.artefact_url import UrlShelf
from stillhouse.core.evaluate.artefacts import ArtefactStore


@pytest.fixture(autouse=True)
def memory() -> Iterator[None]:
    from fsspec.implementations.memory import MemoryFileSystem

    yield
    MemoryFileSystem.store.clear()
    MemoryFileSystem.pseudo_dirs[:] = [""]


class Clock:
    """Seconds that pass only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def shelf(clock: Clock, lease_s: float = 60.0) -> UrlShelf:
    return UrlShelf("memory://store", lease_s=lease_s, clock=clock, sleep=clock.sleep)


def ignored(_: float) -> None: ...
def absent() -> bool:
    return False


@pytest.mark.parametrize(
    ("store", "message"),
    [
        ("s4://bucket", "fsspec knows no protocol 's4'; did you mean 's3'"),
        ("memory://a::file:///b", "expected one URL, got several joined by '::'"),
        ("simplecache::memory://a", "expected one URL"),
    ],
)
def test_a_url_that_cannot_be_opened_is_the_users_error(
    tmp_path: Path, store: str, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        ArtefactStore(tmp_path, store)


def test_a_protocol_without_its_package_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from fsspec.registry import known_implementations

    known = {"class": "nowhere_to_be_found.Files", "err": "Install nowherefs"}
    monkeypatch.setitem(known_implementations, "nowhere", known)
    with pytest.raises(UserError, match=r"nowhere://b needs a package .*\(Install nowherefs\)"):
        open_mirror("nowhere://b")


def test_a_password_is_in_no_message() -> None:
    with pytest.raises(UserError) as said:
        UrlShelf("s4://me:secret@bucket/x")
    assert "s4://me:***@bucket/x" in str(said.value)
    assert "secret" not in str(said.value)


def test_a_store_out_of_reach_is_one_error_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fsspec.implementations.memory import MemoryFileSystem

    def gone(*_: Any, **__: Any) -> Any:
        raise ConnectionError("no route to host")

    monkeypatch.setattr(MemoryFileSystem, "_open", gone)
    store = ArtefactStore(tmp_path / "run", "memory://store")
    said = r"memory://store cannot be read \(ConnectionError: no route to host\).* resume"
    with pytest.raises(StoreError, match=said):
        store.memo("a", "k", lambda: pytest.fail("made"))


def test_a_store_that_may_not_be_written_says_so_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fsspec.implementations.memory import MemoryFileSystem

    def refused(*_: Any, **__: Any) -> Any:
        raise NotImplementedError

    monkeypatch.setattr(MemoryFileSystem, "pipe_file", refused)
    with pytest.raises(StoreError, match=r"cannot be written \(NotImplementedError"):
        ArtefactStore(tmp_path, "memory://s").memo("a", "k", lambda: pytest.fail("made"))


def test_folders_are_made_but_no_bucket(tmp_path: Path) -> None:
    own = UrlShelf(f"local://{tmp_path}/new")
    own.write("deep/a", b"content")
    assert (tmp_path / "new" / "deep" / "a").read_bytes() == b"content"
    with pytest.raises(StoreError, match="cannot be written"):
        UrlShelf("local:///stillhouse-no-bucket/store").write("a", b"content")
    assert not Path("/stillhouse-no-bucket").exists()


def test_a_lease_is_there_while_something_is_made_and_gone_after() -> None:
    own = shelf(Clock())
    with own.claimed("a-k", absent, ignored):
        assert own.size("a-k/lease.json")
    assert own.size("a-k/lease.json") is None


def test_who_finds_a_lease_waits_until_it_is_given_back() -> None:
    first, clock = shelf(Clock()), Clock()
    claim, told = first.claimed("a-k", absent, ignored), []
    claim.__enter__()

    def waiting(seconds: float) -> None:
        told.append(seconds)
        if len(told) == 3:
            claim.__exit__(None, None, None)

    with shelf(clock).claimed("a-k", absent, waiting):
        assert told == [0.0, 2.0, 4.0]


def test_who_finds_the_artefact_meanwhile_takes_no_lease() -> None:
    own, told = shelf(Clock()), []
    own.write("a-k/lease.json", b'{"holder": "another", "beat": 0}')
    with shelf(Clock()).claimed("a-k", lambda: len(told) == 2, told.append):
        assert own.read("a-k/lease.json", 99) == b'{"holder": "another", "beat": 0}'


@pytest.mark.parametrize("content", [b'{"holder": "dead", "beat": 3}', b"torn", b"[]"])
def test_a_lease_without_a_heartbeat_runs_out(content: bytes) -> None:
    own, clock = shelf(Clock()), Clock()
    own.write("a-k/lease.json", content)
    with shelf(clock, lease_s=60.0).claimed("a-k", absent, ignored):
        assert 60.0 < clock.now < 70.0


def test_a_lease_with_a_heartbeat_does_not_run_out() -> None:
    own, clock, told = shelf(Clock()), Clock(), []

    def beats(seconds: float) -> None:
        told.append(seconds)
        own.write("a-k/lease.json", f'{{"holder": "alive", "beat": {len(told)}}}'.encode())

    beats(0.0)
    with shelf(clock).claimed("a-k", lambda: clock.now > 500, beats):
        assert b"alive" in (own.read("a-k/lease.json", 99) or b"")
    assert len(told) > 200


def test_of_two_that_ask_at_once_the_last_to_write_has_it() -> None:
    clock, rivals = Clock(), []
    own = shelf(Clock())

    def sleep(seconds: float) -> None:
        clock.now += seconds
        if not rivals:
            rivals.append(own.write("a-k/lease.json", b'{"holder": "rival", "beat": 0}'))

    late = UrlShelf("memory://store", lease_s=9.0, clock=clock, sleep=sleep)
    with late.claimed("a-k", absent, ignored):
        assert clock.now > 9.0


def test_the_heart_beats_while_something_is_made(race: Any) -> None:
    own, seen = UrlShelf("memory://store", lease_s=0.04, settle_s=0.001), set()

    def beaten() -> bool:
        seen.add(own.read("a-k/lease.json", 99))
        return len(seen) > 3

    before = threading.active_count()
    with own.claimed("a-k", absent, ignored):
        race.until(beaten)
    assert threading.active_count() == before
