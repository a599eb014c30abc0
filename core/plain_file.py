"""Files that may come from a stranger: plain ones, no larger than what they are for, in place."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Final

_TIMES: Final = 64
_SPARE_BYTES: Final = 64_000_000


def room_for(size_bytes: int) -> int:
    """The most bytes that may go with `size_bytes` of weights: moments, forms, a header."""
    return _TIMES * size_bytes + _SPARE_BYTES


def memory_bytes() -> int:
    """This machine's memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def check(path: Path, largest: int | None = None) -> None:
    """Refuse what is no plain file, or has more than `largest` bytes (default: all memory).

    A file full of holes takes no room on a disk and all that it claims in memory. Raises OSError
    for a file that is missing or is none, ValueError for one too large.
    """
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "Not a plain file", str(path))
    most = memory_bytes() if largest is None else largest
    if found.st_size > most:
        raise ValueError(f"expected at most {most / 1e6:.6g} MB, got {found.st_size / 1e6:.6g} MB")


def leads_out(path: Path, folder: Path) -> bool:
    """Whether links on the way from the folder to a path in it lead to somewhere else."""
    try:
        return not path.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError):  # a circle of links
        return True


def link_out(folder: Path) -> Path | None:
    """A symbolic link anywhere in the folder that leads out of it; None where there is none."""
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            found = Path(place, name)
            if found.is_symlink() and leads_out(found, folder):
                return found
    return None
