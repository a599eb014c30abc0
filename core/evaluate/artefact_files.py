"""One artefact as a folder: safetensors, JSON and its parts."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from stillhouse.core import plain_file, plain_json
from stillhouse.core.errors import RunDirectoryError
from stillhouse.core.evaluate.method import Artefact

TENSORS: Final = "artefact.safetensors"
RECORD: Final = "artefact.json"
_LOCAL: Final = ".local"
"""An empty file that marks what is not shared."""
_PART: Final = re.compile(r"[\w-][\w.-]*")


def write(folder: Path, artefact: Artefact) -> None:
    """Write an artefact into an empty folder, through to the disk.

    Raises OSError, ValueError for a part of a wrong name or without a folder, and what a part
    raises.
    """
    from safetensors.torch import save_file

    tensors = {name: t.detach().contiguous().clone() for name, t in artefact.tensors.items()}
    save_file(tensors, folder / TENSORS)
    (folder / RECORD).write_text(json.dumps(artefact.record, indent=1), "utf-8")
    for name, write_part in artefact.parts.items():
        _write_part(folder, name, write_part)
    if artefact.local:
        (folder / _LOCAL).touch()
    whole_to_disk(folder)


def read(folder: Path) -> Artefact:
    """The artefact in a folder; RunDirectoryError for a damaged one."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        record: Mapping[str, Any] = plain_json.read(folder / RECORD, finite=False)
        if not isinstance(record, dict):
            raise ValueError(f"{RECORD}: expected an object, got {type(record).__name__}")
        plain_file.check(folder / TENSORS)
        tensors, local = load_file(folder / TENSORS), (folder / _LOCAL).exists()
        return Artefact(tensors, record, folder=folder, local=local)
    except (OSError, ValueError, SafetensorError) as error:
        raise RunDirectoryError(
            f"{folder}: damaged artefact ({error}); delete the folder and resume, "
            "it will be made again"
        ) from error


def whole_to_disk(folder: Path) -> None:
    """Have a folder and all in it survive a loss of power."""
    for place in (*folder.rglob("*"), folder):
        to_disk(place)


def to_disk(place: Path) -> None:
    """Have a file's content, or a folder's names, survive a loss of power."""
    handle = os.open(place, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _write_part(folder: Path, name: str, write_part: Callable[[Path], object]) -> None:
    if not _PART.fullmatch(name) or name in (TENSORS, RECORD):
        raise ValueError(f"expected the name of a sub-folder for a part, got {name!r}")
    write_part(folder / name)
    if not (folder / name).is_dir():
        raise ValueError(f"expected the part {name!r} to leave a folder, got none")
