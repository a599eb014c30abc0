"""Artefacts are made once, and are there whole or not at all."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from stillhouse.core.errors import RunDirectoryError
from stillhouse.core.evaluate import Artefact
from stillhouse.core.evaluate.artefacts import ArtefactStore, fingerprint


def made(value: float = 1.0) -> Artefact:
    return Artefact({"w": torch.full((2, 3), value)}, {"note": value})


def test_an_artefact_is_made_once_and_read_ever_after(tmp_path: Path) -> None:
    calls = []

    def make() -> Artefact:
        calls.append(1)
        return made()

    for _ in range(2):
        kept = ArtefactStore(tmp_path).memo("a", "k", make)
        assert torch.equal(kept.tensors["w"], torch.ones(2, 3))
        assert kept.record == {"note": 1.0}
    assert len(calls) == 1


def test_a_part_is_a_folder_of_the_artefact_and_found_again(tmp_path: Path) -> None:
    def write(folder: Path) -> None:
        (folder / "deep").mkdir(parents=True)
        (folder / "deep" / "a.bin").write_bytes(b"whole")

    def make() -> Artefact:
        return Artefact({"w": torch.zeros(1)}, parts={"tuning": write, "test": write})

    for _ in range(2):
        kept = ArtefactStore(tmp_path).memo("a", "k", make)
        assert kept.folder == tmp_path / "a-k"
        assert kept.parts == {}
        for part in ("tuning", "test"):
            assert (kept.folder / part / "deep" / "a.bin").read_bytes() == b"whole"


@pytest.mark.parametrize("failure", [OSError("disk full"), ValueError("no"), KeyboardInterrupt()])
def test_nothing_is_stored_when_a_part_fails(tmp_path: Path, failure: BaseException) -> None:
    def whole(folder: Path) -> None:
        folder.mkdir()

    def half(folder: Path) -> None:
        folder.mkdir()
        (folder / "half").write_bytes(b"h")
        raise failure

    store = ArtefactStore(tmp_path)
    with pytest.raises(type(failure)):
        store.memo("a", "k", lambda: Artefact(parts={"first": whole, "second": half}))
    assert not list(tmp_path.iterdir())
    assert store.memo("a", "k", made).record == {"note": 1.0}


KILLED = """
import os, sys
from pathlib import Path
from stillhouse.core.evaluate import Artefact
from stillhouse.core.evaluate.artefacts import ArtefactStore

def part(folder):
    folder.mkdir()
    (folder / "half").write_bytes(b"h")
    os._exit(9)

ArtefactStore(Path(sys.argv[1])).memo("a", "k", lambda: Artefact(parts={"part": part}))
"""


@pytest.mark.slow
def test_a_process_killed_within_a_part_leaves_no_artefact(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], env=dict(os.environ))
    assert done.returncode == 9
    assert not (tmp_path / "a-k").exists()
    kept = ArtefactStore(tmp_path).memo("a", "k", made)
    assert kept.record == {"note": 1.0}
    assert not (tmp_path / "a-k" / "part").exists()


@pytest.mark.parametrize("name", ["", "..", "a/b", "artefact.json"])
def test_a_part_is_named_like_a_sub_folder(tmp_path: Path, name: str) -> None:
    def write(folder: Path) -> None:
        folder.mkdir()

    with pytest.raises(ValueError, match="expected the name of a sub-folder for a part"):
        ArtefactStore(tmp_path).memo("a", "k", lambda: Artefact(parts={name: write}))
    assert not list(tmp_path.iterdir())


def test_a_part_that_leaves_no_folder_is_named(tmp_path: Path) -> None:
    def write(folder: Path) -> None:
        folder.write_bytes(b"a file")

    with pytest.raises(ValueError, match="expected the part 'p' to leave a folder"):
        ArtefactStore(tmp_path).memo("a", "k", lambda: Artefact(parts={"p": write}))


def test_another_key_is_another_artefact(tmp_path: Path) -> None:
    store = ArtefactStore(tmp_path)
    store.memo("a", "k", made)
    assert store.memo("a", "other", lambda: made(2.0)).record == {"note": 2.0}


def test_nothing_is_stored_when_making_fails(tmp_path: Path) -> None:
    def fail() -> Artefact:
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        ArtefactStore(tmp_path).memo("a", "k", fail)
    assert not list(tmp_path.iterdir())


def test_checkpoints_go_once_the_artefact_is_stored(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    ArtefactStore(tmp_path / "store").memo("a", "k", made, tmp_path / "checkpoints")
    assert not (tmp_path / "checkpoints").exists()


def test_a_damaged_artefact_is_named_with_the_way_out(tmp_path: Path) -> None:
    ArtefactStore(tmp_path).memo("a", "k", made)
    (tmp_path / "a-k" / "artefact.safetensors").write_bytes(b"x")
    with pytest.raises(RunDirectoryError, match=r"a-k: damaged artefact .* delete the folder"):
        ArtefactStore(tmp_path).memo("a", "k", made)


def test_a_fingerprint_depends_on_content_and_not_on_key_order() -> None:
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    assert fingerprint({"a": 1}) != fingerprint({"a": 2})
    assert fingerprint("ab", "c") != fingerprint("a", "bc")
