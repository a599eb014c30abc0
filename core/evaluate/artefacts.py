"""Artefacts on disk under the hash of all they depend on, written atomically."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, final

from stillhouse.core import plain_file, plain_json
from stillhouse.core.errors import RunDirectoryError
from stillhouse.core.evaluate.method import Artefact

_TENSORS: Final = "artefact.safetensors"
_RECORD: Final = "artefact.json"
_PART: Final = re.compile(r"[\w-][\w.-]*")


def fingerprint(*parts: Any) -> str:
    """32 hex digits that depend on the parts' canonical JSON alone."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


@final
class ArtefactStore:
    """A folder of artefacts, each a sub-folder `label-key` with safetensors, JSON and its parts.

    An artefact is either there whole or not at all: it is written beside and renamed into place.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._open: dict[str, Artefact] = {}

    def memo(
        self,
        label: str,
        key: str,
        make: Callable[[], Artefact],
        checkpoints: Path | None = None,
    ) -> Artefact:
        """The artefact stored under `label` and `key`; made, stored and returned if missing.

        `checkpoints` is the folder that making it used; nothing needs it once it is stored.
        """
        name = f"{label}-{key}"
        if name not in self._open:
            place = self.folder / name
            if not place.is_dir():
                self._store(place, make())
            self._open[name] = _read(place)
            if checkpoints is not None:
                shutil.rmtree(checkpoints, ignore_errors=True)
        return self._open[name]

    def _store(self, place: Path, artefact: Artefact) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix=".writing-", dir=self.folder))
        try:
            _write(beside, artefact)
            beside.replace(place)
        except BaseException as error:
            shutil.rmtree(beside, ignore_errors=True)
            # Another process may have stored the same meanwhile.
            if not (isinstance(error, OSError) and place.is_dir()):
                raise
        else:
            _to_disk(self.folder)


def _write(folder: Path, artefact: Artefact) -> None:
    from safetensors.torch import save_file

    tensors = {name: t.detach().contiguous().clone() for name, t in artefact.tensors.items()}
    save_file(tensors, folder / _TENSORS)
    (folder / _RECORD).write_text(json.dumps(artefact.record, indent=1), "utf-8")
    for name, write in artefact.parts.items():
        _write_part(folder, name, write)
    for place in (*folder.rglob("*"), folder):
        _to_disk(place)


def _write_part(folder: Path, name: str, write: Callable[[Path], object]) -> None:
    if not _PART.fullmatch(name) or name in (_TENSORS, _RECORD):
        raise ValueError(f"expected the name of a sub-folder for a part, got {name!r}")
    write(folder / name)
    if not (folder / name).is_dir():
        raise ValueError(f"expected the part {name!r} to leave a folder, got none")


def _to_disk(place: Path) -> None:
    handle = os.open(place, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _read(folder: Path) -> Artefact:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        record: Mapping[str, Any] = plain_json.read(folder / _RECORD, finite=False)
        if not isinstance(record, dict):
            raise ValueError(f"{_RECORD}: expected an object, got {type(record).__name__}")
        plain_file.check(folder / _TENSORS)
        return Artefact(load_file(folder / _TENSORS), record, folder=folder)
    except (OSError, ValueError, SafetensorError) as error:
        raise RunDirectoryError(
            f"{folder}: damaged artefact ({error}); delete the folder and resume, "
            "it will be made again"
        ) from error
