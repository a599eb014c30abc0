"""A run directory: one owner at a time, every file whole or absent."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from pathlib import Path
from typing import IO, final

from stillhouse.core.errors import RunDirectoryError

RUN_FILE = "run.yaml"


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write beside and rename into place, so that a reader sees the old or the new, never half."""
    data = content.encode() if isinstance(content, str) else content
    handle, name = tempfile.mkstemp(prefix=".writing-", dir=path.parent)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    Path(name).chmod(0o666 & ~_umask())
    Path(name).replace(path)


def _umask() -> int:
    """The process's file mode mask; temporary files are born private whatever it says."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


@final
class RunDirectory:
    """Paths of one run. Hold it with `with`: a second process on the same folder is refused."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.run_file = folder / RUN_FILE
        self.ledger = folder / "ledger.jsonl"
        self.device = folder / "device.json"
        self.artefacts = folder / "artefacts"
        self.checkpoints = folder / "checkpoints"
        self.best = folder / "best"
        self.summary = folder / "summary.json"
        self._lock: IO[bytes] | None = None

    @staticmethod
    def create(folder: Path, resolved: str, *, overwrite: bool = False) -> RunDirectory:
        """A fresh run directory with the resolved run file in it.

        Raises:
            RunDirectoryError: the folder holds a run already (and `overwrite` is false), holds
                something else, or cannot be written.
        """
        directory = RunDirectory(folder)
        try:
            _make_room(folder, overwrite)
            folder.mkdir(parents=True, exist_ok=True)
            write_atomically(directory.run_file, resolved)
        except OSError as error:
            raise RunDirectoryError(
                f"{folder}: cannot be written ({error.strerror}); choose another with --out"
            ) from error
        return directory

    @staticmethod
    def existing(folder: Path) -> RunDirectory:
        """The directory of a run started earlier; RunDirectoryError if it is not one."""
        if not (folder / RUN_FILE).is_file():
            raise RunDirectoryError(
                f"{folder}: expected a run directory (with {RUN_FILE}), found none; "
                "start a run with: stillhouse search RUN_FILE --out DIR"
            )
        return RunDirectory(folder)

    def __enter__(self) -> RunDirectory:
        self._lock = (self.folder / ".lock").open("wb")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._lock.close()
            raise RunDirectoryError(
                f"{self.folder}: another process is working on this run; wait for it to end"
            ) from None
        self._sweep()
        return self

    def __exit__(self, *_: object) -> None:
        if self._lock:
            self._lock.close()

    def _sweep(self) -> None:
        """Remove what a killed process left half written."""
        for leftover in [*self.folder.glob(".writing-*"), *self.folder.glob("*/.writing-*")]:
            if leftover.is_dir():
                shutil.rmtree(leftover, ignore_errors=True)
            else:
                leftover.unlink(missing_ok=True)


def _make_room(folder: Path, overwrite: bool) -> None:
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not folder.is_dir() or not (folder / RUN_FILE).is_file():
        raise RunDirectoryError(
            f"{folder}: expected a new or empty folder, found something that is no run; "
            "choose another with --out"
        )
    started = (folder / "ledger.jsonl").exists() or (folder / "artefacts").exists()
    if started and not overwrite:
        raise RunDirectoryError(
            f"{folder}: already holds a run; continue it with --resume {folder}, replace it with "
            "--overwrite, or choose another with --out"
        )
    with RunDirectory(folder):
        shutil.rmtree(folder)
