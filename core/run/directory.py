"""A run directory: one owner at a time, every file whole or absent."""

from __future__ import annotations

import fcntl
import os
import shutil
from pathlib import Path
from typing import IO, final

from stillhouse.core.atomic import write_atomically
from stillhouse.core.errors import RunDirectoryError
from stillhouse.core.plain_file import link_out
from stillhouse.core.plugin.beside import PluginFile

RUN_FILE = "run.yaml"
MARK = ".stillhouse-run"
"""Marks a folder as a run; nothing else is ever replaced."""
SWEEP_MARK = ".stillhouse-sweep"
"""Marks a folder as a sweep, whose runs are in its sub-folders."""


@final
class RunDirectory:
    """Paths of one run. Hold it with `with`: a second process on the same folder is refused."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.run_file = folder / RUN_FILE
        self.ledger = folder / "ledger.jsonl"
        self.device = folder / "device.json"
        self.costs = folder / "costs.json"
        self.artefacts = folder / "artefacts"
        self.checkpoints = folder / "checkpoints"
        self.best = folder / "best"
        self.anchors = folder / "anchors"
        self.certificates = folder / "certificates.jsonl"
        self.summary = folder / "summary.json"
        self._lock: IO[bytes] | None = None

    @staticmethod
    def create(
        folder: Path, resolved: str, code: PluginFile | None = None, *, overwrite: bool = False
    ) -> RunDirectory:
        """A fresh run directory with the resolved run file in it, and the code that this names.

        With `overwrite` a run that is there is moved aside; it comes back if the new one ends in
        an error before `settled` is called.

        Raises:
            RunDirectoryError: the folder holds a started run (and `overwrite` is false), holds
                something else, or cannot be written.
        """
        directory = RunDirectory(folder)
        try:
            directory._make_room(overwrite)
            folder.mkdir(parents=True, exist_ok=True)
            (folder / MARK).touch()
            write_atomically(directory.run_file, resolved)
            if code is not None:
                write_atomically(folder / code.name, code.source)
        except OSError as error:
            raise RunDirectoryError(_unwritable(folder, error)) from error
        return directory

    @staticmethod
    def existing(folder: Path) -> RunDirectory:
        """The directory of a run started earlier.

        Raises RunDirectoryError if it is not one, or if a link in it leads out of it: what came
        with a run neither names files elsewhere to be read nor to be written.
        """
        if not ((folder / MARK).is_file() and (folder / RUN_FILE).is_file()):
            raise RunDirectoryError(
                f"{folder}: expected a run directory (with {MARK} and {RUN_FILE}), found none; "
                "start a run with: stillhouse search RUN_FILE --out DIR"
            )
        if (folder / SWEEP_MARK).exists():
            raise RunDirectoryError(
                f"{folder}: expected a run, got a sweep; continue it with: stillhouse sweep "
                f"--resume {folder}, or name one of its runs in {folder / 'trials'}"
            )
        if link := link_out(folder):
            raise RunDirectoryError(
                f"{link}: expected the run's own file or folder, got a link that leads out of "
                f"{folder}; put a copy of what it leads to in its place"
            )
        return RunDirectory(folder)

    def __enter__(self) -> RunDirectory:
        try:
            self._lock = _opened(self.folder / ".lock")
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._unlock()
            raise RunDirectoryError(
                f"{self.folder}: another process is working on this run; wait for it to end"
            ) from None
        except OSError as error:
            raise RunDirectoryError(_unwritable(self.folder, error)) from error
        self._sweep()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._unlock()
        if kind is not None and issubclass(kind, Exception) and self._replaced.is_dir():
            shutil.rmtree(self.folder)
            self._replaced.rename(self.folder)

    def settled(self) -> None:
        """The run is known to be possible: the one it replaced, if any, may go."""
        shutil.rmtree(self._replaced, ignore_errors=True)

    @property
    def _replaced(self) -> Path:
        whole = self.folder.resolve()
        return whole.with_name(f".{whole.name}-replaced")

    def _unlock(self) -> None:
        if self._lock:
            self._lock.close()

    def _sweep(self) -> None:
        """Remove what a killed process left half written."""
        for leftover in [*self.folder.glob(".writing-*"), *self.folder.glob("*/.writing-*")]:
            if leftover.is_dir():
                shutil.rmtree(leftover, ignore_errors=True)
            else:
                leftover.unlink(missing_ok=True)

    def _make_room(self, overwrite: bool) -> None:
        if not self.folder.exists() or (self.folder.is_dir() and not any(self.folder.iterdir())):
            return
        if not self.folder.is_dir() or not (self.folder / MARK).is_file():
            raise RunDirectoryError(
                f"{self.folder}: expected a new or empty folder, found something that is no run; "
                "choose another with --out"
            )
        with self:
            if not any(work.exists() for work in (self.ledger, self.artefacts, self.checkpoints)):
                self.device.unlink(missing_ok=True)
            elif overwrite:
                shutil.rmtree(self._replaced, ignore_errors=True)
                self.folder.rename(self._replaced)
            else:
                raise RunDirectoryError(
                    f"{self.folder}: already holds a run; continue it with --resume {self.folder}"
                    ", replace it with --overwrite, or choose another with --out"
                )


def _opened(path: Path) -> IO[bytes]:
    """A file to lock. A symbolic link is an OSError: it could lead to any file of the user's."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    return os.fdopen(handle, "wb")


def _unwritable(folder: Path, error: OSError) -> str:
    return f"{folder}: cannot be written ({error.strerror}); choose another with --out"
