from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from stillhouse.core.errors import DataError
from stillhouse.plugins.tasks.supplied import verified

CONTENT = b"some data"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def test_a_file_with_the_known_hash_is_read(tmp_path: Path) -> None:
    (tmp_path / "data.npz").write_bytes(CONTENT)
    assert verified(tmp_path / "data.npz", SHA256, "the data") == CONTENT


def test_an_altered_file_is_refused_with_both_hashes(tmp_path: Path) -> None:
    (tmp_path / "data.npz").write_bytes(CONTENT + b"!")
    with pytest.raises(
        DataError, match=rf"data\.npz: expected sha256 {SHA256}, got [0-9a-f]{{64}};"
    ):
        verified(tmp_path / "data.npz", SHA256, "the data")


def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.npz: expected the data, found no file; reinstall"):
        verified(tmp_path / "gone.npz", SHA256, "the data")
