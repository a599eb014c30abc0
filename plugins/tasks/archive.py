"""Reading `.npz` archives that may be anything."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

from stillhouse.core.errors import DataError, nearest

Array = NDArray[np.generic]
_UNREADABLE = Exception
"""A damaged header makes NumPy raise nearly anything, one that claims terabytes MemoryError."""


def arrays(path: Path) -> dict[str, Array]:
    """Every array of the archive by key; raises `DataError` naming file and key.

    Pickled (object) arrays are refused: unpickling runs code.
    """
    if not path.exists():
        raise DataError(f"{path}: expected an .npz file, found nothing there; check the path")
    if not (path.is_file() and zipfile.is_zipfile(path)):
        raise DataError(
            f"{path}: expected an .npz file, got something else; write it with np.savez"
        )
    with path.open("rb") as file, _opened(file, path) as archive:
        _check_sizes(archive, path)
        found = {key: _read(archive, key, path) for key in archive.files}
    if not found:
        raise DataError(f"{path}: expected arrays, found an empty archive")
    return found


def member(found: dict[str, Array], parameter: str, key: str, path: Path) -> Array:
    """The array that a run file's `parameter` names by `key`; `DataError` when it is missing."""
    if key in found:
        return found[key]
    raise DataError(
        f"{path}: expected an array '{key}', found {', '.join(sorted(found))}"
        f"{nearest(key, found)}; give the right key as `{parameter}`"
    )


def _opened(file: BinaryIO, path: Path) -> NpzFile:
    try:
        archive = np.load(file, allow_pickle=False)
    except _UNREADABLE as cause:
        raise DataError(f"{path}: expected an .npz file, but it cannot be read: {cause}") from cause
    if not isinstance(archive, NpzFile):
        raise DataError(f"{path}: expected an .npz file, got one array; write it with np.savez")
    return archive


def _check_sizes(archive: NpzFile, path: Path) -> None:
    """`DataError` for arrays that, unpacked, are more than this machine's memory.

    An archive of a few megabytes unpacks to terabytes of zeros if it says so.
    """
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    claimed = sum(member.file_size for member in archive.zip.infolist()) if archive.zip else 0
    if claimed > memory:
        raise DataError(
            f"{path}: unpacks to {claimed / 1e9:.3g} GB, this machine has {memory / 1e9:.3g} GB of "
            "memory; store fewer samples"
        )


def _read(archive: NpzFile, key: str, path: Path) -> Array:
    try:
        array = archive[key]
    except _UNREADABLE as cause:
        raise DataError(f"{path}: '{key}' cannot be read: {cause}{_advice(cause)}") from cause
    if not isinstance(array, np.ndarray):
        raise DataError(f"{path}: '{key}' is no NumPy array; write the file with np.savez")
    return array


def _advice(cause: Exception) -> str:
    pickled = "Object arrays" in str(cause)
    return "; store plain numbers, pickled objects are not loaded" if pickled else ""
