"""A full disk in the middle of a run: one line that says how to go on."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from stillhouse.core.errors import RunDirectoryError

_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
"""What a system says of a disk that takes nothing more."""


@contextmanager
def told_how_to_go_on(folder: Path, again: str) -> Iterator[None]:
    """Raise RunDirectoryError, which names the command `again`, where the disk takes no more."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise RunDirectoryError(
            f"{folder}: cannot be written ({error.strerror}); nothing that was finished is lost: "
            f"make room, then continue with: {again}"
        ) from error
