"""Class labels checked before they are trusted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.errors import DataError

Targets = NDArray[np.int64]


def whole(array: NDArray[np.generic], where: str) -> Targets:
    """Labels (samples,) as 64-bit integers; `DataError` unless they are whole numbers."""
    if array.ndim != 1:
        raise DataError(f"{where}: expected one label a sample, (samples,), got {array.shape}")
    if array.dtype.kind not in "iu":
        raise DataError(
            f"{where}: expected whole-number labels from 0, got {array.dtype}; "
            "number the classes and name them with `classes`"
        )
    return array.astype(np.int64)


def named(classes: Sequence[str], targets: Targets, where: str) -> tuple[str, ...]:
    """A name for every class, the given ones or its number; `DataError` for other labels."""
    if not all(isinstance(name, str) for name in classes) or len(set(classes)) != len(classes):
        raise DataError(
            f"classes: expected different names as text, got {list(classes)}; quote each of them"
        )
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
