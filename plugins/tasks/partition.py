"""Dividing samples among the four splits, by hash instead of a generator's stream.

A sample's place is a hash of its name and the seed, so a split neither depends on the order of
the files nor changes with the version of NumPy.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from stillhouse.core.evaluate import Split, TaskData
from stillhouse.core.evaluate.data import SplitName

Shares = Mapping[SplitName, float]
SHARES: Shares = {"train": 0.55, "tuning": 0.1, "validation": 0.15, "test": 0.2}
FEWEST = len(SHARES)
"""Samples a class needs to appear in every split."""

Ids = NDArray[np.int64]
Parts = Mapping[SplitName, Ids]
Divide = Callable[[Sequence[object], Ids, int], Parts]
_SUBSET = -1
"""Seed of the choice of a subset: none of those that divide it."""


def exact(
    names: Sequence[object],
    targets: Ids,
    seed: int,
    shares: Shares = SHARES,
) -> Parts:
    """Sample ids by split; each class gives its `shares`, rounded, to every split.

    Splits after the first get at least one sample a class; needs as many samples a class as there
    are splits.
    """
    places = _places(names, seed)
    split_of = np.empty(len(targets), np.int64)
    for members in _by_class(targets):
        split_of[members[np.argsort(places[members])]] = np.repeat(
            np.arange(len(shares)), _counts(len(members), shares)
        )
    return _parts(split_of, shares)


def lasting(names: Sequence[object], targets: Ids, seed: int) -> Parts:
    """Sample ids by split; a sample stays where it is when others are added.

    Shares are kept on average only. In a class so small that a split would be empty, the sample
    next to that split's interval moves into it, until the class has grown; needs `FEWEST` samples
    a class.
    """
    places = _places(names, seed)
    edges = np.cumsum(list(SHARES.values()))[:-1]
    split_of = np.searchsorted(edges, places, side="right")
    for members in _by_class(targets):
        _fill(split_of, members, places)
    return _parts(split_of)


def held_out(names: Sequence[object], targets: Ids, test: Ids, seed: int) -> Parts:
    """`test` is the test split; each class gives the others their `SHARES` of what is left.

    Needs `FEWEST` - 1 samples a class outside `test`.
    """
    left = np.setdiff1d(np.arange(len(targets)), test)
    others = 1 - SHARES["test"]
    shares: Shares = {name: share / others for name, share in SHARES.items() if name != "test"}
    parts = exact([names[sample] for sample in left], targets[left], seed, shares)
    return {**{name: left[members] for name, members in parts.items()}, "test": test}


def together(groups: Sequence[str], targets: Ids, divide: Divide, seed: int) -> Parts:
    """Sample ids by split; samples of one group are never divided.

    `divide` (`exact` or `lasting`) places the groups by name, each with its first sample's class;
    it needs `FEWEST` groups a class (see `representatives`).
    """
    first, group_of = representatives(groups)
    parts = divide([groups[sample] for sample in first], targets[first], seed)
    split_of = np.empty(len(first), np.int64)
    for number, members in enumerate(parts.values()):
        split_of[members] = number
    return _parts(split_of[group_of])


def representatives(groups: Sequence[str]) -> tuple[Ids, Ids]:
    """Each group's first sample, in order, and every sample's group as a number."""
    numbers: dict[str, int] = {}
    group_of = np.array([numbers.setdefault(group, len(numbers)) for group in groups], np.int64)
    return np.unique(group_of, return_index=True)[1], group_of


def subset(names: Sequence[object], count: int) -> Ids:
    """So many samples in their order, chosen by name; a smaller choice lies within a larger one."""
    chosen = np.argsort(_places(names, _SUBSET), kind="stable")[:count]
    return np.sort(chosen)


def assemble(inputs: NDArray[np.generic], targets: NDArray[Any], parts: Parts) -> TaskData:
    """The four splits as tensors, and a hash of their names, shapes and values."""
    digest, splits = hashlib.sha256(), {}
    for name in SHARES:
        x, y = inputs[parts[name]], targets[parts[name]]
        digest.update(f"{name}{x.shape}".encode() + x.tobytes() + y.tobytes())
        splits[name] = Split(name, torch.from_numpy(x), torch.from_numpy(y))
    return TaskData(**splits, sha256=digest.hexdigest())


def _places(names: Sequence[object], seed: int) -> NDArray[np.float64]:
    def place(name: object) -> float:
        digest = hashlib.blake2b(f"{seed}/{name}".encode(errors="surrogateescape"), digest_size=8)
        return int.from_bytes(digest.digest(), "big") / 2**64

    return np.array([place(name) for name in names])


def _by_class(targets: Ids) -> list[Ids]:
    return [np.flatnonzero(targets == label) for label in np.unique(targets)]


def _counts(samples: int, shares: Shares) -> list[int]:
    later = [max(1, round(share * samples)) for share in list(shares.values())[1:]]
    return [samples - sum(later), *later]


def _fill(split_of: Ids, members: Ids, places: NDArray[np.float64]) -> None:
    edges = np.cumsum([0.0, *SHARES.values()])
    middles = (edges[:-1] + edges[1:]) / 2
    for part in range(len(SHARES)):
        counts = np.bincount(split_of[members], minlength=len(SHARES))
        if counts[part] == 0:
            spare = members[counts[split_of[members]] > 1]
            split_of[spare[np.argmin(np.abs(places[spare] - middles[part]))]] = part


def _parts(split_of: Ids, shares: Shares = SHARES) -> Parts:
    return {name: np.flatnonzero(split_of == part) for part, name in enumerate(shares)}
