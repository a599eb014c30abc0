"""Locks on names in a folder: held by one process at a time, released when that process dies."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from stillhouse.core.errors import RunDirectoryError

Waiting = Callable[[float], object]
"""Told now and then how many seconds a lock has been waited for."""
_FIRST_S: Final = 0.005
_LONGEST_S: Final = 0.25
_MISSING: Final = 1000


@contextmanager
def locked(
    path: Path,
    waiting: Waiting,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], object] = time.sleep,
) -> Iterator[None]:
    """Hold the lock of a file, which is there only as long as somebody holds it.

    The kernel releases it when its holder dies, and what that has forked. Threads of one process
    exclude each other too; nobody may take a lock that he holds already.

    Raises RunDirectoryError where the folder cannot be written or knows no locks.
    """
    began, pause = clock(), _FIRST_S
    while (handle := _taken(path)) is None:
        waiting(clock() - began)
        sleep(pause)
        pause = min(2 * pause, _LONGEST_S)
    try:
        yield
    finally:
        _release(path, handle)


@contextmanager
def locked_if_free(path: Path) -> Iterator[bool]:
    """The same without waiting; says whether the lock is held now."""
    handle = _taken(path)
    try:
        yield handle is not None
    finally:
        if handle is not None:
            _release(path, handle)


def _taken(path: Path) -> int | None:
    """A handle that holds the lock, None while another does."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    missing = 0
    while True:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(path, flags, 0o666)
        except FileNotFoundError as error:  # whoever found the folder empty took it away
            missing += 1
            if missing >= _MISSING:  # or nothing can be made there at all
                raise _unlockable(path, error) from error
            continue
        except OSError as error:
            raise _unlockable(path, error) from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(path, handle):
                return handle
        except BlockingIOError:
            os.close(handle)
            return None
        except OSError as error:
            os.close(handle)
            raise _unlockable(path, error) from error
        os.close(handle)


def _is_at(path: Path, handle: int) -> bool:
    """Whether the file is still there: its last holder removed it before letting it go."""
    try:
        return os.path.samestat(path.stat(follow_symlinks=False), os.fstat(handle))
    except FileNotFoundError:
        return False


def _release(path: Path, handle: int) -> None:
    try:
        if _is_at(path, handle):
            path.unlink(missing_ok=True)
    finally:
        os.close(handle)


def _unlockable(path: Path, error: OSError) -> RunDirectoryError:
    return RunDirectoryError(
        f"{path.parent}: cannot be locked ({error.strerror}); it must be a folder that you may "
        "write, on a file system with locks"
    )
