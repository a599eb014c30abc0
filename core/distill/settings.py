"""How a network is trained, and what training it left behind."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor

Inplace = Literal["none", "add", "replace"]
Schedule = Literal["cosine", "linear", "constant"]


@dataclass(frozen=True, kw_only=True)
class TrainSettings:
    """Settings of one training run.

    batch_size: samples a forward pass; gradient_accumulation: such batches an update.
    warmup: share of the updates over which the rate rises linearly; schedule: what follows.
    clip: largest gradient norm, or None. task_weight: weight of the task's supervised loss.
    patience: stop after so many epochs without a better first metric on the validation split and
    keep the best weights; None never looks.
    inplace: subnets other than the largest also learn its detached outputs (`add`), or learn
    nothing else (`replace`; US-Nets, arXiv:1903.05134, section 3.3).
    freeze_unsampled: elements whose gradient is exactly zero in an update keep their value and
    their moments, so slices of a supernet that were not sampled do not drift.
    save_every: updates between two checkpoints; None leaves it to the clock alone.
    """

    epochs: int
    batch_size: int = 64
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    warmup: float = 0.1
    schedule: Schedule = "cosine"
    clip: float | None = 1.0
    gradient_accumulation: int = 1
    task_weight: float = 1.0
    patience: int | None = None
    inplace: Inplace = "none"
    freeze_unsampled: bool = False
    save_every: int | None = None

    def rate(self, update: int, total: int) -> float:
        """Learning rate of update number `update` (from 0) of `total`."""
        rising = round(self.warmup * total)
        if update < rising:
            return self.learning_rate * (update + 1) / rising
        if self.schedule == "constant":
            return self.learning_rate
        share = (update - rising) / max(1, total - rising)
        left = 1 - share if self.schedule == "linear" else 0.5 * (1 + math.cos(math.pi * share))
        return self.learning_rate * left

    def alone(self) -> TrainSettings:
        """The same for one network that shares its weights with none and trains to the end."""
        return replace(self, patience=None, inplace="none", freeze_unsampled=False)


@dataclass(frozen=True)
class EpochLine:
    """One epoch: updates so far, mean losses by name (`loss` is their weighted sum), score."""

    epoch: int
    updates: int
    losses: Mapping[str, float]
    learning_rate: float
    score: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class FitResult:
    """Optimiser steps taken, a line for every epoch, and the adapters' trained weights."""

    updates: int
    history: tuple[EpochLine, ...] = ()
    adapters: Mapping[str, Tensor] = field(default_factory=dict, compare=False, repr=False)
