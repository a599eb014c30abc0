"""What layers show of a data set, streamed: moments of all, and the rows of a few samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@final
@dataclass(frozen=True, eq=False)
class Layers:
    """Features of every layer over the same samples, each the mean over a sample's real positions.

    `scatter` is the centred second moment of all layers side by side, summed over samples:
    (total width, total width), total width the sum of `widths`; `means` (total width,). `rows` are
    the features themselves of a fixed, evenly spaced part of the samples, by layer (kept, width).
    """

    names: tuple[str, ...]
    widths: tuple[int, ...]
    samples: int
    means: Array
    scatter: Array
    rows: tuple[Array, ...]

    def between(self, one: int, other: int) -> Array:
        """The cross-scatter of two layers, X^T Y of their centred features, (width, width).

        A view of `scatter`, not to be written to.
        """
        return self.scatter[self.columns(one), self.columns(other)]

    def columns(self, layer: int) -> slice:
        """Where a layer's features lie in `means` and on both sides of `scatter`."""
        first = sum(self.widths[:layer])
        return slice(first, first + self.widths[layer])
