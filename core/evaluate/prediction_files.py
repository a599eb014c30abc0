"""The user's own prediction files, one a model, made into one `Predictions`."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.errors import DataError
from stillhouse.core.evaluate.prediction_sheet import Sheet, read_sheet, whole
from stillhouse.core.evaluate.predictions import Origin, Predictions
from stillhouse.core.evaluate.probabilities import (
    Targets,
    blocks,
    check_finite,
    check_rows,
    check_targets,
)

if TYPE_CHECKING:
    from stillhouse.core.evaluate.data import SplitName


def read_files(
    files: Mapping[str, Path],
    split: SplitName,
    *,
    classes: Sequence[str] = (),
    targets: NDArray[np.integer[Any]] | None = None,
    ids: Sequence[str] = (),
    training_views: bool | None = None,
) -> Predictions:
    """One file a model, by the model's name, made into one `Predictions`.

    Targets (samples, labels) of 0 and 1, with the files or in them, say that a sample has any
    number of labels: probabilities are then sigmoids, and are not divided by their sum.

    `.npy` holds probabilities (samples, classes); `.npz` the array `probabilities` or `logits`,
    and perhaps `classes` (names) and `targets` (places in its classes); `.csv` a header of class
    names and a row of probabilities a sample. Samples must stand in the same order in all.

    `classes` is the order to return, else the first that a file names, else 0, 1, and so on.
    Columns in another order are moved where the file names them; a file without names is then
    refused. `targets` are places in the order returned. Probabilities may miss a sum of one by
    `TOLERANCE`; rows are divided by their sum. `training_views` tells whether inputs were
    augmented, None if that is not known.

    Raises:
        DataError: a file cannot be used, or files do not fit together; names the file.
    """
    if not files:
        raise DataError("prediction files: expected at least one, got none; name them by model")
    given = [read_sheet(Path(path)) for path in files.values()]
    order = _order(given, tuple(map(str, classes)))
    moved = [_moved(one, order) for one in given]
    _check_samples(moved)
    known = [targets, *(one.targets for one in moved)]
    several = any(those is not None and those.ndim == 2 for those in known)
    probabilities = np.empty((len(moved), *moved[0].rows.shape), np.float32)
    for place, one in enumerate(moved):
        _fill(probabilities[place], one, several)
    places = _targets(moved, targets, len(order))
    origin = Origin(
        (None,) * len(moved), tuple(_sha256(g.path) for g in given), training_views=training_views
    )
    where = ", ".join(str(one.path) for one in given)
    return Predictions(tuple(files), order, split, probabilities, places, origin, tuple(ids), where)


def _order(given: Sequence[Sheet], classes: tuple[str, ...]) -> tuple[str, ...]:
    named = [one for one in given if one.classes is not None]
    order = classes or next((one.classes for one in named if one.classes), ())
    order = order or tuple(map(str, range(given[0].rows.shape[1])))
    other = next((one for one in named if one.classes != order), None)
    for one in given:
        if one.rows.shape[1] != len(order):
            raise DataError(
                f"{one.path}: expected {len(order)} classes ({', '.join(order[:20])}), got "
                f"{one.rows.shape[1]}; predict the same classes with every model"
            )
        if one.classes is None and other is not None:
            raise DataError(
                f"{one.path}: expected the names of its classes, since {other.path} has others or "
                "another order than the rest, got none; write an .npz file with the array 'classes'"
            )
    return order


def _moved(given: Sheet, order: tuple[str, ...]) -> Sheet:
    """The file's columns and targets in the common order of classes."""
    if given.classes is None or given.classes == order:
        return given
    if set(given.classes) != set(order):
        lost = [name for name in order if name not in given.classes]
        extra = [name for name in given.classes if name not in order]
        raise DataError(
            f"{given.path}: expected the classes {', '.join(order[:20])}, got "
            f"{', '.join(extra[:10])} instead of {', '.join(lost[:10])}; name the same classes "
            "in every file"
        )
    columns = [given.classes.index(name) for name in order]
    places = np.array([order.index(name) for name in given.classes])
    targets = given.targets
    if targets is not None:
        targets = places[targets] if targets.ndim == 1 else targets[:, columns]
    return replace(given, rows=given.rows[:, columns], classes=order, targets=targets)


def _check_samples(given: Sequence[Sheet]) -> None:
    first = given[0]
    for one in given[1:]:
        if len(one.rows) != len(first.rows):
            raise DataError(
                f"{one.path}: expected {len(first.rows)} samples, as in {first.path}, got "
                f"{len(one.rows)}; predict the same samples with every model"
            )


def _fill(out: NDArray[np.float32], given: Sheet, several: bool) -> None:
    """Probabilities as float32; softmax, sigmoid and the division by the sum are float64."""
    if not given.logits:
        check_rows(given.rows, str(given.path), several)
    for block in blocks(*given.rows.shape):
        with np.errstate(invalid="ignore"):
            part = np.asarray(given.rows[block], np.float64)
        if given.logits:
            check_finite(part, str(given.path), block.start)
            with np.errstate(over="ignore"):
                part = 1 / (1 + np.exp(-part)) if several else _raised(part)
        out[block] = part if several else part / part.sum(1, keepdims=True)


def _raised(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.exp(logits - logits.max(1, keepdims=True)))


def _targets(
    given: Sequence[Sheet], targets: NDArray[np.integer[Any]] | None, classes: int
) -> Targets:
    """The targets that were given, which must be the same wherever they were."""
    all_given = [(str(one.path), one.targets) for one in given if one.targets is not None]
    if targets is not None:
        all_given.insert(0, ("targets", whole(targets, "targets")))
    if not all_given:
        raise DataError(
            f"{given[0].path}: expected the samples' targets with the files or in one of them, got "
            "none; write an .npz file with the array 'targets'"
        )
    source, first = all_given[0]
    for place, those in all_given:
        if len(those) != len(given[0].rows):
            raise DataError(
                f"{place}: expected {len(given[0].rows)} targets, one a sample, got {len(those)}; "
                "give the targets of the same samples"
            )
        if those.shape != first.shape:
            raise DataError(
                f"{place}: expected targets {first.shape}, as in {source}, got {those.shape}; give "
                "one class a sample everywhere, or 0 and 1 for every label everywhere"
            )
        if (those != first).any():
            sample = int(np.argwhere(those != first)[0, 0])
            raise DataError(
                f"{place}: expected the targets of {source}, got {those[sample]} rather than "
                f"{first[sample]} in sample {sample}; put the samples in the same order"
            )
    check_targets(first, classes, source)
    return first


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
