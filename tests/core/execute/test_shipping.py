"""Files on their way to another machine, without one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stillhouse.core.execute import ExecutionError
from stillhouse.core.execute.shipping import Parcel, Token, chunks, parcel, sees, store


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "run" / "weights.bin"
    path.parent.mkdir()
    path.write_bytes(b"weights " * 5_000_000)
    return path


def test_who_reads_the_token_sees_the_files_and_nobody_does_afterwards(file: Path) -> None:
    token = Token({"weights.bin": file})
    asked = token.asked()
    assert sees(asked)
    assert not sees(json.dumps({**json.loads(asked), "secret": "another"}))
    token.close()
    assert not sees(asked)
    assert [path.name for path in file.parent.iterdir()] == ["weights.bin"]


def test_a_file_that_is_missing_or_of_another_size_is_not_seen(file: Path) -> None:
    other = file.with_name("data.npz")
    other.write_bytes(b"123")
    token = Token({"weights.bin": file, "data.npz": other})
    asked = token.asked()
    assert sees(asked)
    other.write_bytes(b"12")
    assert not sees(asked)
    other.unlink()
    assert not sees(asked)
    token.close()


def test_where_there_are_no_files_nothing_is_to_be_brought() -> None:
    assert sees(Token({}).asked())


def test_a_folder_is_written_once_and_whole(file: Path, tmp_path: Path) -> None:
    parcels = {"artefacts/weights.bin": parcel(file)}
    root, asked = tmp_path / "workers", []

    def content(name: str) -> list[bytes]:
        asked.append(name)
        return [*chunks(file)]

    folder = store(parcels, content, root)
    assert store(parcels, content, root) == folder
    assert asked == ["artefacts/weights.bin"]
    assert (folder / "artefacts/weights.bin").read_bytes() == file.read_bytes()
    assert [path.name for path in root.iterdir() if path.is_dir()] == [folder.name]


def test_content_that_changed_on_its_way_leaves_nothing(file: Path, tmp_path: Path) -> None:
    root = tmp_path / "workers"
    with pytest.raises(ExecutionError, match="the file changed on its way"):
        store({"weights.bin": parcel(file)}, lambda name: [b"other"], root)
    assert [path.suffix for path in root.iterdir()] == [".lock"]


@pytest.mark.parametrize("name", ["../weights.bin", "/etc/weights.bin", "a/../../b", ""])
def test_a_name_that_leads_out_of_the_folder_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ExecutionError, match="inside a folder"):
        store({name: Parcel(0, "")}, lambda name: [], tmp_path / "workers")
    assert [path.suffix for path in (tmp_path / "workers").iterdir()] == [".lock"]
