from __future__ import annotations

from pathlib import Path

import pytest
import torch

from stillhouse.core.distill.checkpoint import Checkpoint, Snapshot
from stillhouse.core.errors import RunDirectoryError


def snapshot(value: float) -> Snapshot:
    return Snapshot({"w": torch.full((3,), value)}, {"updates": int(value), "sums": [0.1 + 0.2]})


def test_tensors_and_counters_come_back_exactly(tmp_path: Path) -> None:
    Checkpoint(tmp_path / "deep", "a/b", "f").save(snapshot(1.0))
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["a-b.safetensors"]
    back = Checkpoint(tmp_path / "deep", "a/b", "f").load()
    assert back is not None
    assert torch.equal(back.tensors["w"], torch.ones(3))
    assert back.counters["sums"] == [0.1 + 0.2]


def test_another_fingerprint_finds_nothing(tmp_path: Path) -> None:
    Checkpoint(tmp_path, "a", "f").save(snapshot(1.0))
    assert Checkpoint(tmp_path, "a", "g").load() is None


@pytest.mark.parametrize("broken", ["os.fsync", "pathlib.Path.replace"])
def test_a_write_that_fails_leaves_the_older_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    checkpoint = Checkpoint(tmp_path, "a", "f")
    checkpoint.save(snapshot(1.0))

    def fail(*_: object) -> None:
        raise OSError("no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(broken, fail)
        with pytest.raises(OSError, match="no space"):
            checkpoint.save(snapshot(2.0))
    back = checkpoint.load()
    assert back is not None
    assert back.counters["updates"] == 1
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("content", [b"", b"garbage" * 9])
def test_a_damaged_file_is_named_with_the_next_step(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.safetensors").write_bytes(content)
    with pytest.raises(RunDirectoryError, match=r"a\.safetensors: expected .* delete it"):
        Checkpoint(tmp_path, "a", "f").load()


def test_a_truncated_file_is_named_with_the_next_step(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path, "a", "f")
    checkpoint.save(snapshot(1.0))
    file = tmp_path / "a.safetensors"
    file.write_bytes(file.read_bytes()[:-4])
    with pytest.raises(RunDirectoryError, match="delete it"):
        checkpoint.load()


def test_tensors_that_share_memory_are_saved_each(tmp_path: Path) -> None:
    whole = torch.arange(6.0)
    tied = Snapshot({"a": whole, "b": whole, "c": whole[:2]}, {})
    Checkpoint(tmp_path, "a", "f").save(tied)
    back = Checkpoint(tmp_path, "a", "f").load()
    assert back is not None
    assert all(torch.equal(back.tensors[k], t) for k, t in tied.tensors.items())


def test_a_save_is_due_after_the_interval_and_only_with_a_folder(tmp_path: Path) -> None:
    now = [0.0]
    checkpoint = Checkpoint(tmp_path, "a", "f", lambda: now[0])
    now[0] = 19.0
    assert not checkpoint.due(20)
    now[0] = 20.0
    assert checkpoint.due(20)
    checkpoint.save(snapshot(1.0))
    assert not checkpoint.due(20)
    assert not Checkpoint(None, "a", "f", lambda: 1e9).due(20)
