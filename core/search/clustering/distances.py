"""Distances between layers, and what is refused as such."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.errors import UserError

Array = NDArray[np.float64]
Numbers = NDArray[np.intp]

ROUNDING: Final = 1e-8
"""Distances are 1 - s of a rounded similarity s: by so much a matrix may miss what it must be."""


def checked(distances: Array, k: int) -> Array:
    """The matrix (layers, layers) in float64 without its rounding, fit for k clusters.

    Raises `UserError` for one that is not square, finite, symmetric and non-negative with a zero
    diagonal, and for a k that its layers cannot have.
    """
    found = as_distances(distances)
    if k < 1:
        raise UserError(f"hint clustering: expected k of at least 1, got {k}")
    if k > len(found):
        raise UserError(
            f"hint clustering: expected at least {k} taps for k = {k}, got fewer taps than k: "
            f"{len(found)}; lower k, or name more taps"
        )
    return found


def as_distances(distances: Array) -> Array:
    """The same for any number of clusters."""
    found = np.asarray(distances, dtype=np.float64)
    problem = _shape(found) or _values(found)
    if problem:
        raise UserError(
            f"hint clustering: expected distances between layers, a {problem}; give 1 - similarity"
        )
    rounded = np.maximum((found + found.T) / 2, 0.0)
    np.fill_diagonal(rounded, 0.0)
    return rounded


def _shape(found: Array) -> str:
    if found.ndim != 2 or found.shape[0] != found.shape[1]:
        return f"square matrix, got shape {found.shape}"
    return ""


def _values(found: Array) -> str:
    if not np.isfinite(found).all():
        row, column = np.argwhere(~np.isfinite(found))[0]
        return f"finite matrix, got {found[row, column]} for layers {row} and {column}"
    if (uneven := np.abs(found - found.T)).max(initial=0.0) > ROUNDING:
        row, column = np.unravel_index(uneven.argmax(), uneven.shape)
        one, other = found[row, column], found[column, row]
        return f"symmetric matrix, got {one:g} and {other:g} for layers {row} and {column}"
    if (own := np.abs(found.diagonal())).max(initial=0.0) > ROUNDING:
        layer = int(own.argmax())
        return f"matrix with a zero diagonal, got {found[layer, layer]:g} for layer {layer}"
    if found.min(initial=0.0) < -ROUNDING:
        row, column = np.unravel_index(found.argmin(), found.shape)
        return f"matrix without negatives, got {found.min():g} for layers {row} and {column}"
    return ""
