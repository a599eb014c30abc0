"""Matrices filled pair by pair, and distances between samples."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.errors import UserError

Array = NDArray[np.float64]


def symmetric(layers: int, between: Callable[[int, int], float]) -> Array:
    """(layers, layers) from the value of each pair, computed once; 1 on the diagonal."""
    found = np.eye(layers)
    for one in range(layers):
        for other in range(one):
            found[one, other] = found[other, one] = between(one, other)
    return found


def squared_distances(rows: Array, part: slice = slice(None)) -> Array:
    """Squared Euclidean distances of a part of the rows to all of them, (part, rows)."""
    centred = rows - rows.mean(0)
    lengths = (centred * centred).sum(1)
    found: Array = lengths[part, None] + lengths - 2 * centred[part] @ centred.T
    return found.clip(min=0.0)


def check_rows(name: str, rows: int, needed: int = 4) -> None:
    """Raise `UserError` for fewer samples than a measure over pairs of them is defined for."""
    if rows < needed:
        raise UserError(
            f"similarity {name} compares samples pair by pair and needs at least {needed} of them, "
            f"got {rows}; give more samples"
        )
