"""Artefacts that runs and machines share: files first, then a record that vouches for them."""

from __future__ import annotations

import hashlib
import json
import logging
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final
from urllib.parse import unquote, urlsplit

from stillhouse.core import plain_json
from stillhouse.core.errors import StoreError
from stillhouse.core.evaluate.artefact_files import RECORD, TENSORS, whole_to_disk
from stillhouse.core.evaluate.artefact_locks import Waiting
from stillhouse.core.evaluate.artefact_shelf import FolderShelf, Shelf
from stillhouse.core.evaluate.artefact_url import UrlShelf

FORMAT: Final = 1
_MARK: Final = "record.json"
_LARGEST_RECORD: Final = 16_000_000
_MOST_FILES: Final = 100_000
_LONGEST_NAME: Final = 1024
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _File:
    """What a record says of a file: where it lies is named by what it holds."""

    size: int
    sha256: str


@final
class Mirror:
    """Shared artefacts on a shelf.

    An artefact is a folder: its files under the SHA-256 of their content, and `record.json`, which
    says which is which and is written last. So it is seen whole or not at all, and two that
    publish the same, or what should be the same, do not disturb each other. What is damaged or
    missing is passed over, made again and repaired; a record that could lead elsewhere is refused.
    """

    def __init__(self, shelf: Shelf, scope: str = "") -> None:
        """`scope` is a folder that keeps apart what other code made, "" for none."""
        self._shelf, self._scope = shelf, scope
        self._bad: set[str] = set()

    def fetched(self, name: str, into: Path) -> bool:
        """Bring an artefact into an empty folder, every file checked; False where none is whole.

        Raises StoreError for a store out of reach, a record that lies, and too little room.
        """
        found = self._record(name)
        if found is None:
            return False
        self._check_room(name, found, into)
        for path, file in found.items():
            place = into / path
            place.parent.mkdir(parents=True, exist_ok=True)
            blob = self._at(name, file.sha256)
            if not (self._shelf.fetch(blob, place, file.size) and _digest(place) == file):
                self._bad.add(blob)
                _log.warning("%s/%s is damaged: it is made again", self._shelf.where, blob)
                return False
        whole_to_disk(into)
        return True

    def publish(self, name: str, folder: Path) -> None:
        """Place what a folder holds; harmless where it is there."""
        files = {
            str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()
        }
        found = {path: _digest(place) for path, place in sorted(files.items())}
        for path, file in found.items():
            blob = self._at(name, file.sha256)
            if blob in self._bad or self._shelf.size(blob) != file.size:
                self._shelf.put(blob, files[path])
                self._bad.discard(blob)
        listed = {path: {"bytes": f.size, "sha256": f.sha256} for path, f in found.items()}
        record = json.dumps({"format": FORMAT, "name": name, "files": listed}, indent=1)
        self._shelf.write(self._at(name, _MARK), record.encode())

    def claimed(self, name: str, waiting: Waiting) -> AbstractContextManager[None]:
        """Be the one who makes an artefact; see `Shelf.claimed`."""
        return self._shelf.claimed(self._at(name), lambda: self._whole(name), waiting)

    def _whole(self, name: str) -> bool:
        """Whether an artefact seems to be there, as far as names and sizes tell."""
        found = self._record(name) or {}
        blobs = {self._at(name, file.sha256): file.size for file in found.values()}
        return (
            bool(found)
            and not self._bad & blobs.keys()
            and all(self._shelf.size(blob) == size for blob, size in blobs.items())
        )

    def _record(self, name: str) -> Mapping[str, _File] | None:
        content = self._shelf.read(self._at(name, _MARK), _LARGEST_RECORD)
        if content is None:
            return None
        where = f"{self._shelf.where}/{self._at(name, _MARK)}"
        try:
            record = plain_json.parsed(content)
        except ValueError as error:
            _log.warning("%s is damaged (%s): it is made again", where, error)
            return None
        try:
            return dict(_files(record, name))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise StoreError(
                f"execute.store: {where} is no record of an artefact ({error}); delete it, and ask "
                "who wrote it"
            ) from None

    def _check_room(self, name: str, files: Mapping[str, _File], into: Path) -> None:
        wanted, free = sum(file.size for file in files.values()), shutil.disk_usage(into).free
        if wanted > free:
            where = f"{self._shelf.where}/{self._at(name)}"
            raise StoreError(
                f"execute.store: {where} claims {wanted / 1e6:.6g} MB, more than the "
                f"{free / 1e6:.6g} MB free for {into.parent}; make room, or delete it there"
            )

    def _at(self, *names: str) -> str:
        return "/".join(filter(None, (self._scope, *names)))


def open_mirror(store: str, scope: str = "") -> Mirror:
    """The mirror at a folder's path or a URL.

    Raises UserError for a URL that fsspec cannot open, StoreError for one that it fails to.
    """
    parts = urlsplit(store)
    if "://" not in store:
        return Mirror(FolderShelf(Path(store)), scope)
    if parts.scheme == "file" and parts.netloc in ("", "localhost"):
        return Mirror(FolderShelf(Path(unquote(parts.path))), scope)
    return Mirror(UrlShelf(store), scope)


def _files(record: Any, name: str) -> Iterator[tuple[str, _File]]:
    """What a record lists; ValueError for what no artefact has."""
    if record["format"] != FORMAT:
        raise ValueError(f"expected format {FORMAT}, got {record['format']!r:.20}")
    if record["name"] != name:
        raise ValueError(f"expected the name {name!r}, got {record['name']!r:.80}")
    listed = record["files"]
    if not {TENSORS, RECORD} <= listed.keys() or len(listed) > _MOST_FILES:
        raise ValueError(f"expected {TENSORS}, {RECORD} and at most {_MOST_FILES} files in all")
    for path, facts in listed.items():
        _check_path(path, listed)
        size, sha256 = facts["bytes"], facts["sha256"]
        if not (type(size) is int and size >= 0):
            raise ValueError(f"expected a number of bytes, got {size!r:.20}")
        if not (type(sha256) is str and _SHA256.fullmatch(sha256)):
            raise ValueError(f"expected a SHA-256, got {sha256!r:.80}")
        yield path, _File(size, sha256)


def _check_path(path: str, listed: Mapping[str, Any]) -> None:
    names = path.split("/")
    plain = path.isprintable() and "\\" not in path and len(path.encode()) <= _LONGEST_NAME
    if not plain or any(name in ("", ".", "..") for name in names):
        raise ValueError(f"expected the name of a file within the artefact, got {path!r:.80}")
    if any("/".join(names[:end]) in listed for end in range(1, len(names))):
        raise ValueError(f"expected a file within a folder, got {path!r:.80} within a file")


def _digest(path: Path) -> _File:
    with path.open("rb") as file:
        return _File(path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest())
