"""Rows of probabilities and their targets, checked a block at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.errors import DataError

Rows = NDArray[np.floating[Any]]
Targets = NDArray[np.int64]
TOLERANCE: Final = 1e-3
"""By how much the probabilities of one sample may miss a sum of one."""
_AT_ONCE: Final = 1 << 21


def blocks(samples: int, values: int) -> Iterator[slice]:
    """Slices over samples of `values` numbers each; the same for the same sizes everywhere."""
    size = max(1, _AT_ONCE // values)
    return (slice(start, start + size) for start in range(0, samples, size))


def check_targets(targets: NDArray[Any], classes: int, where: str) -> None:
    """DataError unless targets are int64 (samples,), at least one, places among the classes."""
    if targets.dtype != np.int64 or targets.ndim != 1 or not len(targets):
        raise DataError(
            f"{where}: expected int64 targets, one a sample, got {targets.dtype} {targets.shape}"
        )
    bad = np.flatnonzero((targets < 0) | (targets >= classes))
    if len(bad):
        raise DataError(
            f"{where}: expected targets from 0 to {classes - 1}, got {targets[bad[0]]} in sample "
            f"{bad[0]}; give each sample's place in the list of classes"
        )


def check_rows(rows: Rows, where: str) -> None:
    """DataError unless rows (samples, classes) are finite, at least 0, and sum to one.

    The sum may miss one by `TOLERANCE`; the message names the sample that misses it by most.
    """
    worst, total = 0, 1.0
    for block in blocks(*rows.shape):
        with np.errstate(invalid="ignore"):
            part = np.asarray(rows[block], np.float64)
        check_finite(part, where, block.start)
        _refuse(part, part < 0, "at least 0", where, block.start)
        with np.errstate(over="ignore"):
            sums = part.sum(1)
        place = int(abs(sums - 1).argmax())
        if abs(sums[place] - 1) > abs(total - 1):
            worst, total = block.start + place, float(sums[place])
    if abs(total - 1) > TOLERANCE:
        raise DataError(
            f"{where}: expected probabilities that sum to one, got {total:g} in sample {worst}; "
            "give the softmax of the logits, or an .npz file with the array 'logits'"
        )


def check_finite(rows: Rows, where: str, first: int = 0) -> None:
    """DataError naming the first sample of rows (samples, classes) with NaN or an infinity."""
    _refuse(rows, ~np.isfinite(rows), "finite numbers", where, first)


def _refuse(rows: Rows, bad: NDArray[np.bool_], expected: str, where: str, first: int) -> None:
    if bad.any():
        sample, place = np.argwhere(bad)[0]
        raise DataError(
            f"{where}: expected {expected}, got {rows[sample, place]:g} in sample "
            f"{first + sample}, class {place}; remove the model or predict again"
        )
