"""Data as the engine sees it: four splits that never mix, and batches drawn from a seed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

SplitName = Literal["train", "tuning", "validation", "test"]


@dataclass(frozen=True)
class Batch:
    """`inputs` (batch, ...) and `targets` (batch, ...); `indices` (batch,) into the split.

    `inputs` are what the student sees. `whole` (batch, ...) is what its teachers choose from, None
    where that is the same.
    """

    inputs: Tensor
    targets: Tensor
    indices: Tensor
    whole: Tensor | None = None

    @property
    def seen(self) -> Tensor:
        """What teachers are given."""
        return self.inputs if self.whole is None else self.whole

    def rows(self, rows: slice) -> Batch:
        """Some of the samples."""
        whole = None if self.whole is None else self.whole[rows]
        return Batch(self.inputs[rows], self.targets[rows], self.indices[rows], whole)

    def to(self, device: str) -> Batch:
        whole = None if self.whole is None else self.whole.to(device)
        targets, indices = self.targets.to(device), self.indices.to(device)
        return Batch(self.inputs.to(device), targets, indices, whole)


@dataclass(frozen=True, eq=False)
class Split:
    """One split held in memory: `inputs` (samples, ...), `targets` (samples, ...).

    `inputs` and `whole` are as in `Batch`.
    """

    name: SplitName
    inputs: Tensor
    targets: Tensor
    whole: Tensor | None = None

    @property
    def seen(self) -> Tensor:
        """What teachers are given."""
        return self.inputs if self.whole is None else self.whole

    def __len__(self) -> int:
        return len(self.targets)

    def batches(self, size: int, seed: int | None = None) -> Iterator[Batch]:
        """Every sample once; in order when `seed` is None, else in the order the seed gives."""
        order = torch.arange(len(self))
        if seed is not None:
            order = torch.randperm(len(self), generator=torch.Generator().manual_seed(seed))
        for part in torch.split(order, size):
            whole = None if self.whole is None else self.whole[part]
            yield Batch(self.inputs[part], self.targets[part], part, whole)


@dataclass(frozen=True, eq=False)
class TaskData:
    """The four splits and a hash of everything in them.

    train: weights. tuning: anything solved or calibrated (ensemble weights, thresholds).
    validation: what the search looks at. test: read once, at the end.
    """

    train: Split
    tuning: Split
    validation: Split
    test: Split
    sha256: str

    def split(self, name: SplitName) -> Split:
        split: Split = getattr(self, name)
        return split
