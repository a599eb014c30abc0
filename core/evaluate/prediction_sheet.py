"""One prediction file that may be anything."""

from __future__ import annotations

import csv
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.errors import DataError, nearest
from stillhouse.core.evaluate.prediction_folder import mapped
from stillhouse.core.evaluate.probabilities import Rows, Targets, check_targets
from stillhouse.core.plain_file import check, memory_bytes

_ARRAYS: Final = ("probabilities", "logits", "classes", "targets")


@final
@dataclass(frozen=True, eq=False)
class Sheet:
    """What one file says: rows (samples, classes), and the rest as far as it is there.

    `targets` are places in the file's own classes, (samples,), or 0 and 1, (samples, classes).
    """

    path: Path
    rows: Rows
    logits: bool = False
    classes: tuple[str, ...] | None = None
    targets: Targets | None = None


def read_sheet(path: Path) -> Sheet:
    """What an `.npy`, `.npz` or `.csv` file says; numbers are checked for type and shape only.

    Raises:
        DataError: the file is missing, damaged, pickled or empty, or holds something else.
    """
    readers = {".npy": _npy, ".npz": _npz, ".csv": _csv}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise DataError(
            f"{path}: expected a prediction file .npy, .npz or .csv, got '{path.suffix}'"
            f"{nearest(path.suffix, readers)}; save the probabilities as one of these"
        )
    if not path.is_file():
        found = "a folder" if path.is_dir() else "no file"
        raise DataError(f"{path}: expected a prediction file, found {found}; check the path")
    given = reader(path)
    _check_shape(given)
    return given


def _npy(path: Path) -> Sheet:
    return Sheet(path, mapped(path))


def _npz(path: Path) -> Sheet:
    found = _members(path)
    kinds = [name for name in _ARRAYS[:2] if name in found]
    if len(kinds) != 1:
        raise DataError(
            f"{path}: expected one of the arrays 'probabilities' and 'logits', got "
            f"{', '.join(sorted(found)) or 'none'}; write np.savez(file, probabilities=...)"
        )
    classes = _class_names(found["classes"], path) if "classes" in found else None
    targets = whole(found["targets"], f"{path}: 'targets'") if "targets" in found else None
    return Sheet(path, found[kinds[0]], kinds[0] == "logits", classes, targets)


def _members(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays that are read, never unpickled."""
    # A damaged archive makes zipfile and NumPy raise nearly anything.
    try:
        if not zipfile.is_zipfile(path):
            raise ValueError("no archive")
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            _check_unpacked(archive)
            found = {name: archive[name] for name in archive.files if name in _ARRAYS}
    except Exception as error:
        raise DataError(
            f"{path}: expected a whole .npz file of plain arrays, got one that cannot be read "
            f"({error}); write it again with np.savez"
        ) from error
    for name, array in found.items():
        if not isinstance(array, np.ndarray):
            raise DataError(f"{path}: '{name}' is no NumPy array; write the file with np.savez")
    return found


def _check_unpacked(archive: Any) -> None:
    """A few megabytes unpack to terabytes of zeros if the archive says so."""
    claimed, memory = sum(one.file_size for one in archive.zip.infolist()), memory_bytes()
    if claimed > memory:
        raise ValueError(f"it unpacks to {claimed / 1e9:.3g} GB, memory has {memory / 1e9:.3g} GB")


def _csv(path: Path) -> Sheet:
    lines = _lines(path)
    first, header = next(lines, (1, []))
    header = [cell.strip() for cell in header]
    _check_header(header, f"{path}:{first}")
    rows = [_numbers(cells, len(header), f"{path}:{line}") for line, cells in lines]
    numbers = np.array(rows, np.float64).reshape(len(rows), len(header))
    return Sheet(path, numbers, classes=tuple(header))


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    try:
        check(path)
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            for cells in reader:
                if cells:
                    yield reader.line_num, cells
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(
            f"{path}: expected a table of comma-separated UTF-8 text, got one that cannot be read "
            f"({error}); write it again"
        ) from error


def _check_header(header: list[str], where: str) -> None:
    """Class names may be whole numbers; a row of probabilities is no header."""
    numbers = [_number(cell) for cell in header]
    row = None not in numbers and any("." in cell for cell in header)
    if row or not header or len(set(header)) < len(header) or not all(header):
        raise DataError(
            f"{where}: expected a header of class names, each once, got "
            f"{', '.join(header[:10]) or 'nothing'}; put the names in the first line"
        )


def _numbers(cells: list[str], classes: int, where: str) -> list[float]:
    if len(cells) != classes:
        raise DataError(
            f"{where}: expected {classes} probabilities, as in the header, got {len(cells)} cells; "
            "repair the line"
        )
    try:
        return list(map(float, cells))
    except ValueError:
        cell = next(cell for cell in cells if _number(cell) is None)
        raise DataError(f"{where}: expected a number, got {cell!r}; repair the line") from None


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None


def _check_shape(given: Sheet) -> None:
    shape, kind = given.rows.shape, given.rows.dtype
    if kind.kind != "f" or kind.itemsize > 8:
        raise DataError(
            f"{given.path}: expected numbers of type float16, float32 or float64, got {kind}; "
            "convert them with astype('float32')"
        )
    if len(shape) != 2 or not shape[0] or shape[1] < 2:
        raise DataError(
            f"{given.path}: expected (samples, classes) with at least one sample and two classes, "
            f"got shape {shape}; give every class its column"
        )
    if given.classes is not None and len(given.classes) != shape[1]:
        raise DataError(
            f"{given.path}: expected a name for each of {shape[1]} classes, got "
            f"{len(given.classes)}; give one name a column"
        )
    if given.targets is not None:
        check_targets(given.targets, shape[1], str(given.path))


def _class_names(array: NDArray[Any], path: Path) -> tuple[str, ...]:
    names = tuple(map(str, array.tolist())) if array.ndim == 1 else ()
    if array.dtype.kind not in "Uiu" or len(set(names)) < len(names) or not names:
        raise DataError(
            f"{path}: 'classes': expected names, each once, got {array.dtype} {array.shape} "
            f"{', '.join(names[:10])}; store an array of text"
        )
    return names


def whole(array: NDArray[Any], where: str) -> Targets:
    """The array as targets (samples,), or (samples, labels) of 0 and 1, of any type of number.

    DataError unless they are whole numbers.
    """
    array = np.asarray(array)
    if array.ndim == 2 and array.dtype.kind in "biuf" and np.isin(array, (0, 1)).all():
        return array.astype(np.int64)
    if array.dtype.kind not in "iu" or array.ndim != 1:
        raise DataError(
            f"{where}: expected whole numbers, one a sample, got {array.dtype} {array.shape}; give "
            "each sample's place in the list of classes, or 0 and 1 for every label"
        )
    return array.astype(np.int64)
