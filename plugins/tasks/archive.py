"""Reading `.npz` archives that may be anything."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import numpy as np
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

from stillhouse.core.errors import DataError, nearest

Array = NDArray[np.generic]
_UNREADABLE = (ValueError, OSError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error)


def arrays(path: Path) -> dict[str, Array]:
    """Every array of the archive by key; raises `DataError` naming file and key.

    Pickled (object) arrays are refused: unpickling runs code.
    """
    if not path.exists():
        raise DataError(f"{path}: expected an .npz file, found nothing there; check the path")
    if not path.is_file() or not zipfile.is_zipfile(path):
        raise DataError(
            f"{path}: expected an .npz file, got something else; write it with np.savez"
        )
    with _opened(path) as archive:
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


def _opened(path: Path) -> NpzFile:
    try:
        archive: NpzFile = np.load(path, allow_pickle=False)
    except _UNREADABLE as cause:
        raise DataError(f"{path}: expected an .npz file, but it cannot be read: {cause}") from cause
    return archive


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
