"""Append-only files of JSON objects, one a line: what was appended survives the process."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, final

from stillhouse.core import plain_json
from stillhouse.core.atomic import write_atomically
from stillhouse.core.errors import UserError

_LARGEST_BYTES: Final = 8_000_000_000
"""Of all lines together: a million evaluations take some half of a billion."""

_BLOCK_BYTES: Final = 1 << 22
"""Read at a time: lines become records before the next ones are read."""

_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def plain_object(line: bytes) -> dict[str, Any]:
    """The object that a line holds; ValueError says what else it is."""
    parsed = plain_json.parsed(line)
    if not isinstance(parsed, dict):
        raise ValueError(f"expected an object, got {type(parsed).__name__}")
    return parsed


def split(text: bytes) -> list[bytes]:
    """Whole lines without their ends."""
    return text.split(b"\n")[:-1]


def plain_objects(text: bytes, first: int) -> list[Any]:
    """The objects of whole lines, of which the first has number `first`; raises ValueError."""
    return [plain_object(line) for line in split(text)]


@final
@dataclass(frozen=True)
class LinesFile:
    """Where lines lie; what is wrong with them is an `error` that ends with what `mend` advises.

    `records` makes of a text of whole lines, the first of which has the number that it is given,
    what `read` returns for them, one for one. Its ValueError for a text of one line says what is
    wrong with that.
    """

    path: Path
    error: type[UserError]
    mend: str
    records: Callable[[bytes, int], list[Any]] = plain_objects

    def read(self) -> list[Any]:
        """What the whole lines hold, without writing anything; raises `error` for a damaged one."""
        try:
            with plain_json.opened(self.path) as file:
                return self.parse(file)[0]
        except OSError as problem:
            raise self.refusal(f"cannot be read ({problem.strerror})") from problem

    def parse(self, file: IO[bytes]) -> tuple[list[Any], int]:
        """What the whole lines hold and their bytes; the rest after the last end is left out."""
        if os.fstat(file.fileno()).st_size > _LARGEST_BYTES:
            raise self.refusal(f"expected at most {_LARGEST_BYTES} bytes, got more")
        found: list[Any] = []
        whole = 0
        for block in _blocks(file):
            found += self._understood(block, len(found) + 1)
            whole += len(block)
        return found, whole

    def damaged(self, number: int, fact: str) -> UserError:
        """The error for a line that cannot be understood; the first line has number 1."""
        return self.error(f"{self.path}:{number}: damaged line ({fact}); {self.mend}")

    def refusal(self, fact: str) -> UserError:
        """The error for the file as a whole."""
        return self.error(f"{self.path}: {fact}; {self.mend}")

    def unwritten(self, problem: OSError) -> UserError:
        """The error for lines that found no room."""
        return self.error(
            f"{self.path}: expected room for another line, got: {problem.strerror}; every line "
            "before it is kept; make room on that disk, then resume"
        )

    def _understood(self, text: bytes, first: int) -> list[Any]:
        try:
            return self.records(text, first)
        except UserError:
            raise
        except ValueError:
            return [self._record(line, number) for number, line in enumerate(split(text), first)]

    def _record(self, line: bytes, number: int) -> Any:
        try:
            return self.records(line + b"\n", number)[0]
        except UserError:
            raise
        except ValueError as error:
            raise self.damaged(number, str(error)) from None


def _blocks(file: IO[bytes]) -> Iterator[bytes]:
    """Some whole lines at a time; not what follows the last line's end."""
    rest: list[bytes] = []
    while text := file.read(_BLOCK_BYTES):
        cut = text.rfind(b"\n") + 1
        if cut:
            yield b"".join([*rest, text[:cut]])
            rest = []
        rest.append(text[cut:])


@final
class Appending:
    """A file of lines opened to append to.

    A torn last line (the process was killed while writing it) is cut off. A symbolic link is
    refused: a run from elsewhere could have it lead to any file of the user's. `exclusive` refuses
    a file that is open exclusively already, in another process or in this one.
    """

    def __init__(self, where: LinesFile, *, exclusive: bool = False) -> None:
        self._where, self._exclusive = where, exclusive
        fresh = not where.path.exists()
        try:
            self._file = _opened(where.path)
        except OSError as problem:
            if problem.errno in _FULL:
                raise where.unwritten(problem) from problem
            raise where.refusal(f"cannot be written ({problem.strerror})") from problem
        try:
            self.records, self._bytes = self._recovered()
            """What the lines held when the file was opened."""
            if fresh:
                _keep_name(where.path.parent)
        except BaseException:
            self.close()
            raise

    @property
    def bare(self) -> bool:
        """Whether the file holds no line."""
        return self._bytes == 0

    def append(self, *records: Mapping[str, Any], durable: bool = True) -> None:
        """Write lines through to the disk, together; unless `durable`, only to the system.

        What is not durable yet is so after the next durable append: lines never change order.
        Where there is no room for all of them, none of them is kept, and the file's error is
        raised.
        """
        text = _text(records)
        try:
            # A piece that an earlier append could not take back must not end up inside a line.
            if os.fstat(self._file.fileno()).st_size > self._bytes:
                self._file.truncate(self._bytes)
            _write(self._file, text)
            if durable:
                os.fsync(self._file.fileno())
        except OSError as problem:
            with suppress(OSError):
                self._file.truncate(self._bytes)
            raise self._where.unwritten(problem) from problem
        self._bytes += len(text)

    def replace(self, *records: Mapping[str, Any]) -> None:
        """Have these lines in place of all that are there; whoever reads sees one or the other."""
        text = _text(records)
        try:
            if text:
                write_atomically(self._where.path, text)
                _keep_name(self._where.path.parent)
                self._file.close()
                self._file = _opened(self._where.path)
            else:
                self._file.truncate(0)
        except OSError as problem:
            raise self._where.unwritten(problem) from problem
        self._bytes = len(text)
        if self._exclusive:
            self._lock()

    def close(self) -> None:
        self._file.close()

    def _recovered(self) -> tuple[list[Any], int]:
        if self._exclusive:
            self._lock()
        self._file.seek(0)
        records, whole = self._where.parse(self._file)
        if whole < os.fstat(self._file.fileno()).st_size:
            self._file.truncate(whole)
        return records, whole

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            path = self._where.path
            raise self._where.error(f"{path}: is open already; close it there first") from None


def _text(records: Sequence[Mapping[str, Any]]) -> bytes:
    return b"".join(json.dumps(record, allow_nan=False).encode() + b"\n" for record in records)


def _write(file: IO[bytes], text: bytes) -> None:
    """All of it: the system may take less than it is given."""
    left = memoryview(text)
    while left:
        left = left[file.write(left) :]


def _opened(path: Path) -> IO[bytes]:
    """To read and append; raises OSError for a symbolic link and for what is no plain file."""
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    handle = os.open(path, flags, 0o666)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "Not a plain file", str(path))
    return os.fdopen(handle, "ab+", buffering=0)


def _keep_name(folder: Path) -> None:
    """Have the folder remember a new file's name even if the power fails."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
