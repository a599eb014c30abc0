"""The user's own labelled sequences, from one `.npz` file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.errors import DataError, nearest
from stillhouse.core.evaluate import Classification, Task
from stillhouse.plugins.tasks import partition
from stillhouse.plugins.tasks.archive import arrays
from stillhouse.plugins.tasks.clips import Clips
from stillhouse.plugins.tasks.info import NpzParams
from stillhouse.plugins.tasks.partition import FEWEST, SHARES, Ids, Parts


def build(params: NpzParams) -> Task:
    """A classification task over `params.path`; raises `DataError` naming file and key."""
    path = Path(params.path)
    found = arrays(path)
    inputs = _inputs(_member(found, params.inputs, path), f"{path}: '{params.inputs}'")
    where = f"{path}: '{params.targets}'"
    targets = _targets(_member(found, params.targets, path), where)
    if len(targets) != len(inputs):
        raise DataError(
            f"{where} has {len(targets)} labels, but '{params.inputs}' has {len(inputs)} samples; "
            "give one label a sample"
        )
    labels = _labels(params.classes, targets, where)
    parts = _parts(params, found, targets, labels)
    if params.standardise:
        inputs = _standardised(inputs, parts["train"])
    data = partition.assemble(inputs, targets, parts)
    return Classification("npz", data, labels, shift=params.shift, noise=params.noise)


def _member(found: dict[str, NDArray[np.generic]], key: str, path: Path) -> NDArray[np.generic]:
    if key not in found:
        raise DataError(
            f"{path}: expected an array '{key}', found {', '.join(sorted(found))}"
            f"{nearest(key, found)}; name it with `inputs`, `targets` or `split`"
        )
    return found[key]


def _inputs(array: NDArray[np.generic], where: str) -> NDArray[np.float32]:
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
    bad = ~np.isfinite(numbers).all(axis=(1, 2))
    if bad.any():
        raise DataError(
            f"{where} has NaN, infinite or too large values in {bad.sum()} of {len(bad)} samples, "
            f"first in sample {int(bad.argmax())}; remove or repair them"
        )
    return numbers


def _targets(array: NDArray[np.generic], where: str) -> Ids:
    if array.ndim != 1:
        raise DataError(f"{where}: expected one label a sample, (samples,), got {array.shape}")
    if array.dtype.kind not in "iu":
        raise DataError(
            f"{where}: expected whole-number labels from 0, got {array.dtype}; "
            "number the classes and name them with `classes`"
        )
    return array.astype(np.int64)


def _labels(classes: Sequence[str], targets: Ids, where: str) -> tuple[str, ...]:
    wrong = [name for name in classes if not isinstance(name, str)]
    if wrong or len(set(classes)) != len(classes):
        raise DataError(
            f"classes: expected different names as text, got {list(classes)}; quote them"
        )
    labels = tuple(classes) or tuple(str(label) for label in range(int(targets.max()) + 1))
    seen = np.unique(targets)
    outside = seen[(seen < 0) | (seen >= len(labels))]
    if len(outside):
        raise DataError(
            f"{where}: expected labels 0 to {len(labels) - 1}, got {int(outside[0])}"
            + ("; `classes` is too short" if outside[0] > 0 else "")
        )
    if len(labels) < 2:
        raise DataError(f"{where}: expected two classes or more, got one")
    return labels


def _parts(
    params: NpzParams,
    found: dict[str, NDArray[np.generic]],
    targets: Ids,
    labels: tuple[str, ...],
) -> Parts:
    path = Path(params.path)
    where = f"{path}: '{params.targets}'"
    key = params.split or ("split" if "split" in found else None)
    if key is not None:
        parts = _given(_member(found, key, path), len(targets), f"{path}: '{key}'")
        _enough(targets[parts["train"]], labels, 1, f"{where} over the train split")
        return parts
    _enough(targets, labels, FEWEST, where)
    return partition.exact(range(len(targets)), targets, params.split_seed)


def _enough(targets: Ids, labels: tuple[str, ...], fewest: int, where: str) -> None:
    counts = np.bincount(targets, minlength=len(labels))
    scarce = int(counts.argmin())
    if counts[scarce] < fewest:
        raise DataError(
            f"{where}: class {scarce} ('{labels[scarce]}') has {counts[scarce]} samples, "
            f"expected at least {fewest}; add samples or leave the class out"
        )


def _given(array: NDArray[np.generic], samples: int, where: str) -> Parts:
    names = [name for name in SHARES]
    if array.shape != (samples,):
        raise DataError(f"{where}: expected shape ({samples},), got {array.shape}")
    known: Sequence[object] = range(len(names)) if array.dtype.kind in "iu" else names
    values = array.tolist()
    for row, value in enumerate(values):
        if value not in known:
            raise DataError(
                f"{where}: expected {', '.join(names)} or 0 to 3, got {value!r} in sample {row}"
                f"{nearest(str(value), names)}"
            )
    parts = {name: np.flatnonzero(array == mark) for name, mark in zip(names, known, strict=True)}
    empty = [name for name in names if not len(parts[name])]
    if empty:
        raise DataError(f"{where}: no sample is marked {' or '.join(empty)}; all four are needed")
    return parts


def _standardised(inputs: NDArray[np.float32], train: Ids) -> NDArray[np.float32]:
    samples, frames, features = inputs.shape
    flat = Clips(inputs.reshape(-1, features), np.full(samples, frames))
    return flat.standardised(train).fitted(frames)
