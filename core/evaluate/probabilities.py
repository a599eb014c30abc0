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
    """DataError unless targets are int64 (samples,), at least one, places among the classes.

    Or int64 (samples, classes) of 0 and 1, where a sample has several labels.
    """
    if targets.ndim == 2 and targets.dtype == np.int64 and len(targets):
        _check_labels(targets, classes, where)
        return
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


def check_rows(rows: Rows, where: str, several: bool = False) -> None:
    """DataError unless rows (samples, classes) are finite, at least 0, and sum to one.

    The sum may miss one by `TOLERANCE`; the message names the sample that misses it by most. With
    `several` labels a sample, each is a probability of its own, at most 1.
    """
    worst, total = 0, 1.0
    for block in blocks(*rows.shape):
        with np.errstate(invalid="ignore"):
            part = np.asarray(rows[block], np.float64)
        check_finite(part, where, block.start)
        _refuse(part, part < 0, "at least 0", where, block.start)
        if several:
            _refuse(part, part > 1, "at most 1 (the sigmoid of a logit)", where, block.start)
            continue
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


def _check_labels(targets: Targets, labels: int, where: str) -> None:
    bad = np.argwhere((targets != 0) & (targets != 1))
    if targets.shape[1] != labels or len(bad):
        got = f"{targets[tuple(bad[0])]} in sample {bad[0, 0]}" if len(bad) else f"{targets.shape}"
        raise DataError(
            f"{where}: expected targets of 0 and 1, (samples, {labels}), got {got}; give each "
            "sample a column for every label"
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
