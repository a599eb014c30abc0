"""Cached predictions and their targets, as every solver may rely on them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.errors import UserError

Array = NDArray[np.float64]
Numbers = NDArray[np.int64]
Predictions = NDArray[Any] | Sequence[NDArray[Any]]
"""Probabilities (models, samples, classes), float32 or float64, memory-mapped or not; or one array
(samples, classes) a model."""

SUM_TOLERANCE: Final = 1e-4
BLOCK: Final = 1 << 17
"""Numbers in a block of work: about 1 MB in float64, so that it stays in a core's cache."""


def checked(probabilities: Predictions, targets: NDArray[Any]) -> tuple[NDArray[Any], Numbers]:
    """Probabilities (models, samples, classes) and targets (samples,), whole numbers.

    Predictions for several labels, with 0/1 targets (samples, labels), become one sample a label,
    of the two classes "absent" and "present". Others are given back as they are, not copied.
    Raises `UserError` for arrays that do not fit together, and for what is no probability.
    """
    stacked, wanted = _stacked(probabilities), np.asarray(targets)
    if len(wanted) != stacked.shape[1]:
        raise UserError(
            f"ensemble: expected a target for each of {stacked.shape[1]} predicted samples, got "
            f"{len(wanted)}; give predictions and targets of one split, in one order"
        )
    several = wanted.ndim == 2
    _probabilities(stacked, several)
    if several:
        return _binary(stacked, wanted)
    return stacked, _classes(wanted, stacked.shape[2])


def simplex(weights: Sequence[float] | Array, models: int) -> Array:
    """Weights (models,) divided by their sum. Raises `UserError` if they are no weights."""
    given = np.asarray(weights, dtype=np.float64)
    if given.shape != (models,) or not np.isfinite(given).all() or (given < 0).any():
        raise UserError(
            f"ensemble: expected {models} finite weights of 0 or more, one a model, got "
            f"{given.tolist()}"
        )
    if not given.sum():
        raise UserError("ensemble: expected a weight above 0, got all zero; give no start for none")
    return np.asarray(given / given.sum())


def blocks(samples: int, row: int) -> Iterator[slice]:
    """Slices of samples; `row` is how many numbers a sample takes."""
    size = max(1, BLOCK // row)
    for first in range(0, samples, size):
        yield slice(first, min(first + size, samples))


def _stacked(probabilities: Predictions) -> NDArray[Any]:
    if not isinstance(probabilities, np.ndarray):
        shapes = [model.shape for model in probabilities]
        if len(set(shapes)) > 1:
            raise UserError(
                f"ensemble: expected the same samples and classes of every model, got {shapes}; "
                "predict one split with all models"
            )
        probabilities = np.stack(probabilities) if shapes else np.empty((0, 0, 0))
    if probabilities.ndim != 3 or not all(probabilities.shape):
        raise UserError(
            "ensemble: expected probabilities (models, samples, classes), none of them 0, got "
            f"{probabilities.shape}"
        )
    if probabilities.dtype not in (np.float32, np.float64):
        raise UserError(f"ensemble: expected float32 or float64, got {probabilities.dtype}")
    return probabilities


def _probabilities(stacked: NDArray[Any], several: bool) -> None:
    _, samples, classes = stacked.shape
    for number, model in enumerate(stacked):
        for block in blocks(samples, classes):
            part = model[block]
            total = part.max(-1) if several else part.sum(-1, dtype=np.float64)
            off = total - 1 if several else np.abs(total - 1)
            # Not `off > tolerance`: a NaN compares false and must be refused.
            if not ((off <= SUM_TOLERANCE).all() and part.min() >= 0):
                bad = ~(off <= SUM_TOLERANCE) | ~(part >= 0).all(-1)
                sample = int(np.flatnonzero(bad)[0])
                raise _no_probabilities(number, block.start + sample, part[sample], several)


def _no_probabilities(model: int, sample: int, row: NDArray[Any], several: bool) -> UserError:
    if np.isnan(row).any():
        came = f"NaN for class {int(np.flatnonzero(np.isnan(row))[0])}"
    elif row.min() < 0:
        came = f"{row.min():.6g} for class {int(row.argmin())}"
    elif several:
        came = f"{row.max():.6g} for label {int(row.argmax())}"
    else:
        came = f"the sum {row.sum(dtype=np.float64):.6g}"
    expected = "between 0 and 1" if several else f"that sum to 1 within {SUM_TOLERANCE:g}"
    return UserError(
        f"ensemble: expected probabilities {expected}, got {came} at model {model}, sample "
        f"{sample}; save probabilities, after the {'sigmoid' if several else 'softmax'}"
    )


def _classes(targets: NDArray[Any], classes: int) -> Numbers:
    if targets.ndim != 1 or targets.dtype.kind not in "iu":
        raise UserError(
            "ensemble: expected targets (samples,) of whole numbers, or 0/1 (samples, labels), got "
            f"{targets.dtype} {targets.shape}"
        )
    bad = np.flatnonzero((targets < 0) | (targets >= classes))
    if len(bad):
        raise UserError(
            f"ensemble: expected targets from 0 to {classes - 1}, got {targets[bad[0]]} at sample "
            f"{bad[0]}; check that models and data share one order of classes"
        )
    return targets.astype(np.int64)


def _binary(stacked: NDArray[Any], targets: NDArray[Any]) -> tuple[NDArray[Any], Numbers]:
    models, samples, labels = stacked.shape
    if targets.shape != (samples, labels) or not np.isin(targets, (0, 1)).all():
        raise UserError(
            f"ensemble: expected targets of 0 and 1, {(samples, labels)}, got {targets.shape} "
            f"with values {np.unique(targets)[:4].tolist()}"
        )
    present = np.clip(stacked.reshape(models, samples * labels), 0, 1)
    return np.stack([1 - present, present], axis=-1), targets.reshape(-1).astype(np.int64)
