"""How unsure an answer is, from 0 (certain) to at most 1, and below what doubt it is given."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from stillhouse.plugins.dynamic.info import Criterion

NEVER: Final = -1.0
ALWAYS: Final = 2.0
"""Thresholds: a sample leaves where its doubt is below."""
Doubts = NDArray[np.float32]


def doubt(logits: Tensor, criterion: Criterion) -> Tensor:
    """(...,) from logits (..., classes), at least two of them.

    entropy: -sum p log p over log C (BranchyNet, Teerapittayanon et al. 2016); max-probability:
    1 - p_1; margin: 1 - (p_1 - p_2), with p_1 >= p_2 >= ... What is left of 1 is summed from the
    smaller probabilities, so that answers of nearly 1 are still told apart.
    """
    if criterion == "entropy":
        logs = logits.log_softmax(-1)
        return (logs.exp() * logs).sum(-1) * entropy_scale(logits.shape[-1])
    falling = logits.softmax(-1).sort(-1, descending=True).values
    others = falling[..., 1:].sum(-1)
    return others if criterion == "max-probability" else others + falling[..., 1]


def entropy_scale(classes: int) -> float:
    """From the sum of p log p to a share of the largest entropy."""
    return -1 / math.log(classes)


def thresholds(doubts: Doubts, leave: float) -> NDArray[np.float32]:
    """One for each exit, (exits,), from doubts (samples, exits) on data that nothing trained on.

    Of the samples that reach an exit the share `leave` is below its threshold, rounded up; where
    doubts are equal the nearest number of samples that a threshold can part from the others.
    """
    left = np.ones(len(doubts), np.bool_)
    found = []
    for column in doubts.T:
        found.append(_threshold(column[left], leave))
        left &= ~(column < found[-1])
    return np.array(found, np.float32)


def way_of(doubts: Doubts, below: NDArray[np.float32]) -> NDArray[np.int64]:
    """The exit that each sample leaves at, (samples,); the number of exits where at none."""
    leaves = np.concatenate([doubts < below, np.ones((len(doubts), 1), np.bool_)], axis=1)
    found: NDArray[np.int64] = leaves.argmax(axis=1)
    return found


def shares(ways: NDArray[np.int64], count: int) -> list[float]:
    """Of each of `count` ways, the share of the samples that take it."""
    return [float(n) / max(1, len(ways)) for n in np.bincount(ways, minlength=count)]


def _threshold(doubts: Doubts, leave: float) -> np.float32:
    rising = np.sort(doubts)
    wanted = math.ceil(leave * len(rising) - 1e-9)
    parted = [0, *(np.flatnonzero(rising[1:] > rising[:-1]) + 1).tolist(), len(rising)]
    count = min(parted, key=lambda n: (abs(n - wanted), n))
    if count in (0, len(rising)):
        return np.float32(ALWAYS if count and wanted else NEVER)
    low, high = rising[count - 1], rising[count]
    middle = np.float32((float(low) + float(high)) / 2)
    return middle if middle > low else high
