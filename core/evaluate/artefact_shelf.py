"""Where shared artefacts lie: a folder, or what any fsspec URL leads to."""

from __future__ import annotations

import os
import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Final, final

from stillhouse.core import plain_json
from stillhouse.core.errors import StoreError
from stillhouse.core.evaluate.artefact_files import to_disk
from stillhouse.core.evaluate.artefact_locks import Waiting, locked
from stillhouse.core.plain_file import check, leads_out

_OTHERS_WRITE: Final = 0o022
_READ_ONLY: Final = 0o444


class Shelf(ABC):
    """Files by relative names with "/" in them, which nobody changes: only replaces whole.

    Every method raises StoreError where the place cannot be reached, read or written.
    """

    where: str
    """What messages call it, without a password."""

    @abstractmethod
    def read(self, name: str, largest: int) -> bytes | None:
        """A file's content, None where there is none; at most `largest` + 1 bytes of it."""

    @abstractmethod
    def size(self, name: str) -> int | None:
        """A file's bytes, None where there is none."""

    @abstractmethod
    def fetch(self, name: str, to: Path, largest: int) -> bool:
        """Bring a file to a path where nothing is; False where there is none, or a larger one."""

    @abstractmethod
    def put(self, name: str, source: Path) -> None:
        """Place a copy of a file, over one that is there."""

    @abstractmethod
    def write(self, name: str, content: bytes) -> None:
        """Place a small file, over one that is there."""

    @abstractmethod
    def claimed(
        self, name: str, there: Callable[[], bool], waiting: Waiting
    ) -> AbstractContextManager[None]:
        """Be the one who makes what goes under a folder's name, for as long as others respect it.

        Waits while another is, unless it is `there` meanwhile.
        """


@final
class FolderShelf(Shelf):
    """A folder that machines mount, or runs of one machine share.

    A file is written beside and renamed. It is a hard link, and takes no room again, where this
    user owns it, nobody else may write it and the file system is one; else it is a copy. One that
    makes something holds a kernel lock, which its death releases.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.where = folder, str(folder)

    def read(self, name: str, largest: int) -> bytes | None:
        place = self._path(name)
        with self._explained("read"):
            try:
                return plain_json.content(place, largest)
            except FileNotFoundError:
                return None
            except ValueError as error:
                raise StoreError(f"{self.where}/{name}: {error}; delete it") from None

    def size(self, name: str) -> int | None:
        with self._explained("read"):
            try:
                return self._path(name).stat(follow_symlinks=False).st_size
            except FileNotFoundError:
                return None

    def fetch(self, name: str, to: Path, largest: int) -> bool:
        source = self._path(name)
        if source.is_symlink():
            raise StoreError(f"{source}: expected a file, got a link; delete it")
        with self._explained("read"):
            try:
                check(source, largest)
                _link_or_copy(source, to)
            except (FileNotFoundError, ValueError):
                return False
        return True

    def put(self, name: str, source: Path) -> None:
        self._place(name, lambda beside: _link_or_copy(source, beside))

    def write(self, name: str, content: bytes) -> None:
        self._place(name, lambda beside: beside.write_bytes(content))

    @contextmanager
    def claimed(self, name: str, there: Callable[[], bool], waiting: Waiting) -> Iterator[None]:
        lock = self._path(name).with_name(f".making-{Path(name).name}")
        with locked(lock, waiting):
            for leftover in self._path(name).glob(".writing-*"):
                leftover.unlink(missing_ok=True)
            yield

    def _place(self, name: str, fill: Callable[[Path], object]) -> None:
        with self._explained("written"):
            place = self._path(name)
            place.parent.mkdir(parents=True, exist_ok=True)
            beside = Path(tempfile.mktemp(prefix=".writing-", dir=place.parent))  # noqa: S306 - the link or copy makes it, and fails where something is
            try:
                fill(beside)
                beside.chmod(_READ_ONLY)
                to_disk(beside)
                beside.replace(place)
                to_disk(place.parent)
            except BaseException:
                beside.unlink(missing_ok=True)
                raise

    def _path(self, name: str) -> Path:
        place = self.folder / name
        if leads_out(place.parent, self.folder):
            raise StoreError(f"{place}: expected a file of the store, got a link that leads out")
        return place

    @contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise unusable(self.where, what, error) from error


def unusable(where: str, what: str, error: BaseException) -> StoreError:
    """The error for a place that cannot be "read" or "written"."""
    why = getattr(error, "strerror", None) or " ".join(str(error).split())[:300]
    return StoreError(
        f"execute.store: {where} cannot be {what} ({type(error).__name__}: {why}); what was made "
        "is kept in the run's folder: mend the store, or leave it out, and resume"
    )


def _link_or_copy(source: Path, to: Path) -> None:
    """Raises OSError; leaves no file at `to` that was there before as it was."""
    found = source.stat(follow_symlinks=False)
    if found.st_uid == os.geteuid() and not found.st_mode & _OTHERS_WRITE:
        with suppress(PermissionError, OSError):
            os.link(source, to, follow_symlinks=False)
            return
    handle = os.open(to, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    with os.fdopen(handle, "wb") as copy, source.open("rb") as original:
        shutil.copyfileobj(original, copy, 1 << 20)
