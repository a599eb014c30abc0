"""One process at a time at a file, without anything left beside it."""

from __future__ import annotations

import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stillhouse.core.errors import UserError


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Other processes of this user on this machine that ask for the same file wait.

    The lock is a file in the temporary folder for as long as it is held. Raises `UserError` where
    that folder cannot be written.
    """
    try:
        name = hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:32]
        place = Path(tempfile.gettempdir()) / f"stillhouse-{os.geteuid()}-{name}.lock"
        handle = _locked(place)
    except OSError as failed:
        raise UserError(
            f"cannot lock {path}: {failed.strerror} ({tempfile.gettempdir()}); name a folder that "
            "can be written with the environment variable TMPDIR"
        ) from failed
    try:
        yield
    finally:
        place.unlink(missing_ok=True)
        os.close(handle)


def _locked(place: Path) -> int:
    """A handle that holds the lock. One waited for may be removed by then: it locks nothing."""
    while True:
        handle = os.open(place, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            if _is_at(handle, place):
                return handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)


def _is_at(handle: int, place: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), place.stat())
    except FileNotFoundError:
        return False
