"""Predictions on disk: two plain NumPy files and a description, there whole or not at all."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core import plain_json
from stillhouse.core.atomic import umask
from stillhouse.core.errors import DataError
from stillhouse.core.evaluate.predictions import Origin, Predictions

if TYPE_CHECKING:
    from stillhouse.core.evaluate.data import SplitName

FORMAT: Final = "stillhouse predictions 1"
PROBABILITIES, TARGETS, DESCRIPTION = "predictions.npy", "targets.npy", "predictions.json"
_AGAIN: Final = "delete the folder and predict again"
_KEYS: Final = {
    "format", "sha256", "models", "classes", "split", "samples", "ids", "origin"
}  # fmt: skip


def write(predictions: Predictions, folder: Path) -> Predictions:
    """Verify and store predictions; returns them as read back, mapped from the disk.

    A folder that already holds the same is left as it is.

    Raises:
        DataError: they are no probabilities, or the folder holds something else or cannot be
            written.
    """
    predictions.verify()
    sha256 = predictions.digest()
    if folder.exists():
        return _same(folder, sha256)
    try:
        _store(predictions, sha256, folder)
    except OSError as error:
        if folder.exists():
            return _same(folder, sha256)
        raise DataError(
            f"{folder}: predictions cannot be written ({error}); free space or name another folder"
        ) from error
    return read(folder)


def read(folder: Path) -> Predictions:
    """The predictions in a folder, probabilities mapped from the disk and not read yet.

    Shapes, types and the description are checked; `Predictions.verify` checks the content.

    Raises:
        DataError: something is missing, damaged or foreign; names the file.
    """
    record = _described(folder / DESCRIPTION)
    probabilities = mapped(folder / PROBABILITIES)
    targets = mapped(folder / TARGETS)
    for array, file, kind in ((probabilities, PROBABILITIES, "<f4"), (targets, TARGETS, "<i8")):
        if array.dtype != np.dtype(kind) or not array.flags.c_contiguous:
            raise DataError(
                f"{folder / file}: expected {np.dtype(kind)} in C order, got {array.dtype}; "
                f"{_AGAIN}"
            )
    found = _built(record, probabilities, np.array(targets), folder)
    if record["samples"] != found.samples or isinstance(record["samples"], bool):
        raise DataError(
            f"{folder / TARGETS}: expected {record['samples']} targets, got {found.samples}; "
            f"{_AGAIN}"
        )
    return found


def mapped(path: Path) -> NDArray[Any]:
    """An `.npy` file mapped from the disk; objects are refused, nothing is ever unpickled.

    Raises:
        DataError: it is missing, truncated, empty, pickled, or no `.npy` file.
    """
    # A damaged header makes NumPy raise nearly anything: TypeError, SyntaxError, MemoryError.
    try:
        if not path.is_file():
            raise FileNotFoundError("no plain file")
        return np.lib.format.open_memmap(path, mode="r")
    except Exception as error:
        raise DataError(
            f"{path}: expected a whole .npy file of plain numbers, got one that cannot be read "
            f"({error}); write it again with np.save"
        ) from error


def _same(folder: Path, sha256: str) -> Predictions:
    found = read(folder)
    if found.sha256 != sha256:
        raise DataError(
            f"{folder}: expected no folder or the same predictions, got others; delete it or name "
            "another folder"
        )
    found.verify()
    return found


def _store(predictions: Predictions, sha256: str, folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=".writing-", dir=folder.parent))
    record = {"format": FORMAT, "sha256": sha256, **predictions.describe()}
    try:
        _save(beside / PROBABILITIES, predictions.probabilities, "<f4")
        _save(beside / TARGETS, predictions.targets, "<i8")
        (beside / DESCRIPTION).write_text(json.dumps(record, indent=1), "utf-8")
        beside.chmod(0o777 & ~umask())
        for place in (beside / DESCRIPTION, beside):
            _to_disk(place)
        beside.replace(folder)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise
    _to_disk(folder.parent)


def _save(path: Path, array: NDArray[Any], kind: str) -> None:
    with path.open("wb") as file:
        np.save(file, np.ascontiguousarray(array, kind), allow_pickle=False)
        file.flush()
        os.fsync(file.fileno())


def _to_disk(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _described(path: Path) -> Mapping[str, Any]:
    try:
        record = plain_json.read(path)
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path}: expected the description of predictions, got {error}; {_AGAIN}"
        ) from error
    if not isinstance(record, dict) or record.get("format") != FORMAT or set(record) != _KEYS:
        raise DataError(
            f"{path}: expected the format '{FORMAT}' with {', '.join(sorted(_KEYS))}, got "
            f"something else; {_AGAIN}"
        )
    return record


def _built(
    record: Mapping[str, Any], probabilities: NDArray[Any], targets: NDArray[Any], folder: Path
) -> Predictions:
    try:
        split: SplitName = _text(record["split"])  # type: ignore[assignment]
        sha256 = _text(record["sha256"])
        if not re.fullmatch("[0-9a-f]{64}", sha256):
            raise ValueError(f"{sha256!r} is no SHA-256")
        return Predictions(
            _texts(record["models"]),
            _texts(record["classes"]),
            split,
            probabilities,
            targets,
            _origin(record["origin"]),
            _texts(record["ids"]),
            str(folder),
            sha256,
        )
    except DataError as error:
        raise DataError(f"{error}; {_AGAIN}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{folder / DESCRIPTION}: damaged description ({error}); {_AGAIN}") from (
            error
        )


def _origin(record: Any) -> Origin:
    if not isinstance(record, dict) or not isinstance(record.get("seeds"), list):
        raise TypeError("expected an origin with seeds")
    views = record["training_views"]
    if views is not None and not isinstance(views, bool):
        raise TypeError("training_views: expected true, false or null")
    if not all(seed is None or type(seed) is int for seed in record["seeds"]):
        raise TypeError("seeds: expected whole numbers or null")
    data, code = _text(record["data"]), _text(record["code"])
    return Origin(tuple(record["seeds"]), _texts(record["sources"]), data, code, views)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected text, got {value!r}")
    return value


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise TypeError(f"expected a list, got {value!r}")
    return tuple(map(_text, value))
