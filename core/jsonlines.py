"""Append-only files of JSON objects, one a line: what was appended survives the process."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, final

from stillhouse.core import plain_json
from stillhouse.core.errors import UserError

_LARGEST_BYTES: Final = 8_000_000_000
"""Of all lines together: a million evaluations take some two."""


@dataclass(frozen=True)
class LinesFile:
    """Where lines lie; what is wrong with them is an `error` that ends with what `mend` advises."""

    path: Path
    error: type[UserError]
    mend: str

    def read(self) -> list[dict[str, Any]]:
        """The whole lines, without writing anything; raises `error` for a damaged one."""
        try:
            text = plain_json.content(self.path, _LARGEST_BYTES)
        except OSError as problem:
            raise self.refusal(f"cannot be read ({problem.strerror})") from problem
        except ValueError as problem:
            raise self.refusal(str(problem)) from None
        return self.parse(text)

    def parse(self, text: bytes) -> list[dict[str, Any]]:
        """The objects of whole lines; what follows the last line's end is left out."""
        whole = text[: text.rfind(b"\n") + 1].splitlines()
        return [self._object(line, number) for number, line in enumerate(whole, 1)]

    def damaged(self, number: int, fact: str) -> UserError:
        """The error for a line that cannot be understood; the first line has number 1."""
        return self.error(f"{self.path}:{number}: damaged line ({fact}); {self.mend}")

    def refusal(self, fact: str) -> UserError:
        """The error for the file as a whole."""
        return self.error(f"{self.path}: {fact}; {self.mend}")

    def _object(self, line: bytes, number: int) -> dict[str, Any]:
        try:
            parsed = plain_json.parsed(line)
        except ValueError as error:
            raise self.damaged(number, str(error)) from None
        if not isinstance(parsed, dict):
            raise self.damaged(number, f"expected an object, got {type(parsed).__name__}")
        return parsed


@final
class Appending:
    """A file of lines opened to append to.

    A torn last line (the process was killed while writing it) is cut off. A symbolic link is
    refused: a run from elsewhere could have it lead to any file of the user's. `exclusive` refuses
    a file that is open exclusively already, in another process or in this one.
    """

    def __init__(self, where: LinesFile, *, exclusive: bool = False) -> None:
        self._where = where
        fresh = not where.path.exists()
        try:
            self._file = _opened(where.path)
        except OSError as problem:
            raise where.refusal(f"cannot be written ({problem.strerror})") from problem
        try:
            self.records = self._recovered(exclusive)
            """What the lines held when the file was opened."""
            if fresh:
                _keep_name(where.path.parent)
        except BaseException:
            self.close()
            raise

    def append(self, *records: Mapping[str, Any], durable: bool = True) -> None:
        """Write lines through to the disk, together; unless `durable`, only to the system.

        What is not durable yet is so after the next durable append: lines never change order.
        """
        lines = [json.dumps(record, allow_nan=False).encode() + b"\n" for record in records]
        self._file.write(b"".join(lines))
        self._file.flush()
        if durable:
            os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()

    def _recovered(self, exclusive: bool) -> list[dict[str, Any]]:
        if exclusive:
            self._lock()
        self._file.seek(0)
        text = self._file.read()
        records = self._where.parse(text)
        whole = text.rfind(b"\n") + 1
        if whole < len(text):
            self._file.truncate(whole)
        return records

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            path = self._where.path
            raise self._where.error(f"{path}: is open already; close it there first") from None


def _opened(path: Path) -> IO[bytes]:
    """To read and append; raises OSError for a symbolic link and for what is no plain file."""
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    handle = os.open(path, flags, 0o666)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "Not a plain file", str(path))
    return os.fdopen(handle, "ab+")


def _keep_name(folder: Path) -> None:
    """Have the folder remember a new file's name even if the power fails."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
