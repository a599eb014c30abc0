"""Artefacts are made once, and are there whole or not at all."""

from __future__ import annotations

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
