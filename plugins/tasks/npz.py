"""The user's own labelled sequences, from one `.npz` file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.errors import DataError, nearest
from stillhouse.core.evaluate import Classification, MultiLabel, Task
from stillhouse.plugins.tasks import labels, partition
from stillhouse.plugins.tasks.archive import Array, arrays, member
from stillhouse.plugins.tasks.clips import Clips
from stillhouse.plugins.tasks.info import NpzParams
from stillhouse.plugins.tasks.partition import FEWEST, SHARES, Ids, Parts


def build(params: NpzParams) -> Task:
    """A task over `params.path`, of one class a sample or, from targets (samples, labels) of 0 and
    1, any number of labels; raises `DataError` naming file and key.
    """
    path = Path(params.path)
    found = arrays(path)
    inputs = _inputs(member(found, "inputs", params.inputs, path), f"{path}: '{params.inputs}'")
    several = member(found, "targets", params.targets, path).ndim == 2
    targets, names, parts = (_labels if several else _classes)(params, found, len(inputs))
    if params.standardise:
        inputs = _standardised(inputs, parts["train"])
    data = partition.assemble(inputs, targets, parts)
    kind = MultiLabel if several else Classification
    return kind("npz", data, names, shift=params.shift, noise=params.noise, mask=params.mask)


def _classes(
    params: NpzParams, found: dict[str, Array], samples: int
) -> tuple[Ids, tuple[str, ...], Parts]:
    """One class a sample, the classes' names, and the splits."""
    where = f"{params.path}: '{params.targets}'"
    targets = labels.whole(found[params.targets], where)
    _check_length(targets, samples, params)
    names = labels.named(params.classes, targets, where)
    return targets, names, _parts(params, found, targets, names)


def _labels(
    params: NpzParams, found: dict[str, Array], samples: int
) -> tuple[labels.Several, tuple[str, ...], Parts]:
    """Any number of labels a sample, their names, and the splits."""
    where = f"{params.path}: '{params.targets}'"
    targets = labels.several(found[params.targets], where)
    _check_length(targets, samples, params)
    names = labels.columns(params.classes, targets, where)
    return targets, names, _shares(params, found, targets, names)


def _check_length(targets: Array, samples: int, params: NpzParams) -> None:
    if len(targets) != samples:
        raise DataError(
            f"{params.path}: '{params.targets}' has {len(targets)} labels, but '{params.inputs}' "
            f"has {samples} samples; label every sample once"
        )


def _inputs(array: Array, where: str) -> NDArray[np.float32]:
    if array.ndim not in (2, 3):
        raise DataError(
            f"{where}: expected (samples, frames) or (samples, frames, features), "
            f"got shape {array.shape}"
        )
    if array.size == 0:
        raise DataError(f"{where} is empty: its shape is {array.shape}")
    if array.dtype.kind not in "biuf":
        raise DataError(f"{where}: expected real numbers, got {array.dtype}")
    with np.errstate(over="ignore"):
        numbers = array.astype(np.float32).reshape(*array.shape[:2], -1)
    bad = np.flatnonzero(~np.isfinite(numbers.reshape(len(numbers), -1)).all(1))
    if len(bad):
        raise DataError(
            f"{where} has NaN, infinite or too large values in {len(bad)} of {len(numbers)} "
            f"samples, first in sample {bad[0]}; remove or repair them"
        )
    return numbers


def _parts(
    params: NpzParams, found: dict[str, Array], targets: Ids, names: tuple[str, ...]
) -> Parts:
    path = Path(params.path)
    where = f"{path}: '{params.targets}'"
    key = params.split or ("split" if "split" in found else None)
    if key is None:
        labels.enough(targets, names, FEWEST, where)
        return partition.exact(range(len(targets)), targets, params.split_seed)
    parts = _given(member(found, "split", key, path), len(targets), f"{path}: '{key}'")
    labels.enough(targets[parts["train"]], names, 1, f"{where} over the train split")
    return parts


def _shares(
    params: NpzParams, found: dict[str, Array], targets: labels.Several, names: tuple[str, ...]
) -> Parts:
    """Of several labels a sample: no split divides all of them evenly, so a drawn one tries none.

    Every label must occur in train, and some label in every split.
    """
    where, samples = f"{params.path}: '{params.targets}'", len(targets)
    key = params.split or ("split" if "split" in found else None)
    if key is not None:
        marks = member(found, "split", key, Path(params.path))
        parts = _given(marks, samples, f"{params.path}: '{key}'")
    elif samples < FEWEST:
        raise DataError(f"{where} has {samples} samples, expected at least {FEWEST}; add samples")
    else:
        parts = partition.exact(range(samples), np.zeros(samples, np.int64), params.split_seed)
    labels.occurring(targets[parts["train"]], names, f"{where} over the train split")
    for name, members in parts.items():
        if not targets[members].any():
            raise DataError(
                f"{where}: no sample of the {name} split has any label; add samples or draw "
                "another split"
            )
    return parts


def _given(array: Array, samples: int, where: str) -> Parts:
    names = list(SHARES)
    if array.shape != (samples,):
        raise DataError(f"{where}: expected shape ({samples},), got {array.shape}")
    known: Sequence[object] = range(len(names)) if array.dtype.kind in "iu" else names
    for row, value in enumerate(array.tolist()):
        if value not in known:
            raise DataError(
                f"{where}: expected {', '.join(names)} or 0 to 3, got {value!r} in sample {row}"
                f"{nearest(str(value), names)}"
            )
    marks = zip(names, known, strict=True)
    parts = {name: np.flatnonzero(array == mark) for name, mark in marks}
    empty = [name for name in names if not len(parts[name])]
    if empty:
        raise DataError(f"{where}: no sample is marked {' or '.join(empty)}; all four are needed")
    return parts


def _standardised(inputs: NDArray[np.float32], train: Ids) -> NDArray[np.float32]:
    samples, frames, features = inputs.shape
    flat = Clips(inputs.reshape(-1, features), np.full(samples, frames))
    return flat.standardised(train).fitted(frames)
