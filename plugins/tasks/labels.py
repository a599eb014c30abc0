"""Class labels checked before they are trusted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.errors import DataError

Targets = NDArray[np.int64]
Several = NDArray[np.float32]


def whole(array: NDArray[np.generic], where: str) -> Targets:
    """Labels (samples,) as 64-bit integers; `DataError` unless they are whole numbers."""
    if array.ndim != 1:
        raise DataError(
            f"{where}: expected one label a sample, (samples,), or 0 and 1, (samples, labels), got "
            f"{array.shape}; number the classes from 0"
        )
    if array.dtype.kind not in "iu":
        raise DataError(
            f"{where}: expected whole-number labels from 0, got {array.dtype}; "
            "number the classes and name them with `classes`"
        )
    return array.astype(np.int64)


def several(array: NDArray[np.generic], where: str) -> Several:
    """Labels (samples, labels), any number a sample, as 0 and 1; `DataError` for other values."""
    if array.dtype.kind not in "biuf":
        raise DataError(f"{where}: expected 0 and 1, (samples, labels), got {array.dtype}")
    if array.shape[1] < 2:
        raise DataError(
            f"{where}: expected two labels or more, (samples, labels), got {array.shape}; "
            "give one class a sample as (samples,)"
        )
    bad = np.argwhere((array != 0) & (array != 1))
    if len(bad):
        sample, label = bad[0]
        raise DataError(
            f"{where}: expected 0 or 1 for every label of a sample, got {array[sample, label]} in "
            f"sample {sample}, label {label}; give one class a sample as (samples,)"
        )
    if (array.astype(np.float32).sum(1) == 1).all():
        raise DataError(
            f"{where}: expected labels of which a sample may have several, got exactly one in "
            "every sample; give one class a sample as (samples,), as by argmax(1)"
        )
    return array.astype(np.float32)


def columns(classes: Sequence[str], targets: Several, where: str) -> tuple[str, ...]:
    """A name for every column, the given ones or its number; `DataError` for other numbers."""
    _different(classes)
    count = targets.shape[1]
    if classes and len(classes) != count:
        raise DataError(
            f"classes: expected {count} names, one for every column of {where}, got {len(classes)}"
        )
    return tuple(classes) or tuple(map(str, range(count)))


def occurring(targets: Several, labels: Sequence[str], where: str) -> None:
    """Raise `DataError` for the first label that no sample has."""
    never = np.flatnonzero(~targets.any(0))
    if len(never):
        raise DataError(
            f"{where}: no sample has label {never[0]} ('{labels[never[0]]}'); add samples, draw "
            "another split or leave the label out"
        )


def named(classes: Sequence[str], targets: Targets, where: str) -> tuple[str, ...]:
    """A name for every class, the given ones or its number; `DataError` for other labels."""
    _different(classes)
    seen = np.unique(targets)
    count = len(classes) or len(seen)
    outside = seen[(seen < 0) | (seen >= count)]
    if len(outside):
        raise DataError(
            f"{where}: expected labels 0 to {count - 1} for {count} classes, got {outside[0]}; "
            + ("lengthen `classes`" if classes else "number the classes without gaps")
        )
    if count < 2:
        raise DataError(f"{where}: expected two classes or more, got one")
    return tuple(classes) or tuple(map(str, range(count)))


def enough(targets: Targets, labels: Sequence[str], fewest: int, where: str) -> None:
    """Raise `DataError` for the smallest class when it has fewer than `fewest` samples."""
    counts = np.bincount(targets, minlength=len(labels))
    scarce = int(counts.argmin())
    if counts[scarce] < fewest:
        raise DataError(
            f"{where}: class {scarce} ('{labels[scarce]}') has {counts[scarce]} samples, "
            f"expected at least {fewest}; add samples or leave the class out"
        )


def _different(classes: Sequence[str]) -> None:
    if not all(isinstance(name, str) for name in classes) or len(set(classes)) != len(classes):
        raise DataError(
            f"classes: expected different names as text, got {list(classes)}; quote each of them"
        )
