"""Features of all layers, chunk by chunk, as moments and a few rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, final

import numpy as np
import torch
from torch import Tensor

from stillhouse.core.errors import UserError
from stillhouse.core.similarity.layers import Layers
from stillhouse.core.similarity.pooling import pooled

_BLOCK: Final = 512
"""Samples that enter the moments together: one large product instead of many small ones."""


@final
class Accumulator:
    """Gathers `Layers` from chunks of any size and in any order, in memory for one block of them.

    The second moment takes 8 bytes for each pair of features, whatever the number of samples. It
    is updated block by block, each centred on its own mean (Chan, Golub and LeVeque 1983, the
    pairwise update, for matrices); blocks have a fixed size of their own, whatever the chunks'.

    Raises `UserError` for taps that repeat, and for fewer than two samples.
    """

    def __init__(self, taps: Sequence[str], samples: int, kept: int = 1000) -> None:
        if not taps or len(set(taps)) < len(taps):
            raise UserError(f"expected taps of different names, got {', '.join(taps) or 'none'}")
        if samples < 2:
            raise UserError(f"expected at least 2 samples to compare layers by, got {samples}")
        self._taps, self._samples = tuple(taps), samples
        self._places = evenly(samples, kept)
        self._widths: tuple[int, ...] = ()
        self._waiting: list[Tensor] = []
        self._count = 0

    def add(
        self, features: Mapping[str, Tensor], indices: Tensor, mask: Tensor | None = None
    ) -> None:
        """Take a chunk: features by tap, as `pooled` wants them, and the real positions.

        `indices` (chunk,) are the samples' places, from 0 to `samples` - 1, each given once.
        Raises `UserError` as `pooled` does.
        """
        parts = [pooled(tap, features[tap], len(indices), mask).cpu() for tap in self._taps]
        if not self._widths:
            self._begin(tuple(part.shape[1] for part in parts))
        side_by_side = torch.cat(parts, 1)
        self._keep(side_by_side, indices.cpu().numpy())
        self._waiting.append(side_by_side)
        if sum(map(len, self._waiting)) >= _BLOCK:
            self._fold_blocks()

    def layers(self) -> Layers:
        """What was gathered; ValueError unless every sample was given."""
        given = self._count + sum(map(len, self._waiting))
        if given != self._samples:
            raise ValueError(f"expected {self._samples} samples, got {given}")
        self._fold(torch.cat(self._waiting) if self._waiting else self._mean[None, :0])
        self._waiting = []
        _mirror(self._scatter)
        ends = np.cumsum(self._widths)[:-1]
        return Layers(
            self._taps,
            self._widths,
            self._samples,
            self._mean.numpy(),
            self._scatter.numpy(),
            tuple(np.ascontiguousarray(rows) for rows in np.split(self._rows, ends, axis=1)),
        )

    def _begin(self, widths: tuple[int, ...]) -> None:
        total = sum(widths)
        self._widths = widths
        self._mean = torch.zeros(total, dtype=torch.float64)
        self._scatter = torch.zeros(total, total, dtype=torch.float64)
        self._rows = np.zeros((len(self._places), total))

    def _keep(self, chunk: Tensor, indices: np.ndarray) -> None:
        where = np.minimum(np.searchsorted(self._places, indices), len(self._places) - 1)
        wanted = self._places[where] == indices
        self._rows[where[wanted]] = chunk.numpy()[wanted]

    def _fold_blocks(self) -> None:
        gathered = torch.cat(self._waiting)
        whole = len(gathered) // _BLOCK * _BLOCK
        for block in torch.split(gathered[:whole], _BLOCK):
            self._fold(block)
        self._waiting = [gathered[whole:].clone()]

    def _fold(self, block: Tensor) -> None:
        """Add a block's scatter about its mean, and that of its mean about the mean so far."""
        if not len(block):
            return
        total = self._count + len(block)
        mean = block.mean(0)
        step = mean - self._mean
        between = step * (self._count * len(block) / total) ** 0.5
        about = torch.cat([block - mean, between[None]])
        self._scatter.addmm_(about.T, about)
        self._mean += step * (len(block) / total)
        self._count = total


def evenly(count: int, wanted: int) -> np.ndarray:
    """At most `wanted` of the numbers below `count`, evenly spaced from 0, in order."""
    wanted = min(count, wanted)
    return np.arange(wanted) * count // wanted


def _mirror(scatter: Tensor) -> None:
    """Copy the upper triangle to the lower, in place: products leave them apart by rounding."""
    for start in range(0, len(scatter), _BLOCK):
        stop = start + _BLOCK
        scatter[stop:, start:stop] = scatter[start:stop, stop:].T
        corner = scatter[start:stop, start:stop]
        corner.copy_(corner.triu() + corner.triu(1).T)
