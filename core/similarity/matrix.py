"""Layer-by-layer matrices: one measure's, checked, and several measures' as one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.errors import PluginError, UserError
from stillhouse.core.similarity.layers import Layers
from stillhouse.core.similarity.ranks import mean_ranks
from stillhouse.core.similarity.similarity import Similarity

Array = NDArray[np.float64]

_DIGITS: Final = 10
"""Decimals kept: what the order of sums decides lies beyond them, so no selection depends on it."""
_TOLERANCE: Final = 1e-6
_SAME: Final = float(np.finfo(np.float32).eps)


def similarity_matrix(layers: Layers, similarity: Similarity) -> Array:
    """How alike every two layers are, (layers, layers), exactly symmetric, 1 on the diagonal.

    Values lie in 0..1 and are rounded to ten decimals. Raises `UserError` for a layer whose
    features are the same for all samples, and as the measure does; `PluginError` for a measure that
    breaks its contract by more than rounding.
    """
    _refuse_constant(layers)
    found = np.asarray(similarity.matrix(layers), np.float64)
    fault = _fault(found, len(layers.names))
    if fault:
        raise PluginError(
            f"similarity {type(similarity).__module__}.{type(similarity).__name__}: expected a "
            f"symmetric matrix of {len(layers.names)} layers from 0 to 1, with 1 on its diagonal, "
            f"got {fault}; report it to the plugin's author, or use another similarity"
        )
    even = np.clip((found + found.T) / 2, 0.0, 1.0).round(_DIGITS)
    np.fill_diagonal(even, 1.0)
    return even


def combined(similarities: Sequence[Array]) -> Array:
    """One dissimilarity, (layers, layers), of several measures' similarities.

    In each matrix every pair of layers gets its rank by distance (1 - similarity) among all pairs,
    ties their mean rank, divided by the number of pairs; the result is the mean over matrices, with
    0 on the diagonal. So measures of different spread have an equal say. One matrix alone gives its
    ranks. Raises ValueError for none, or for shapes that differ.
    """
    shapes = {matrix.shape for matrix in similarities}
    if len(shapes) != 1:
        raise ValueError(f"expected matrices of one shape, got {sorted(shapes) or 'none'}")
    upper = np.triu_indices(len(similarities[0]), 1)
    ranks = [mean_ranks((1.0 - one[upper]).round(_DIGITS)) for one in similarities]
    result = np.zeros(similarities[0].shape)
    result[upper] = (np.mean(ranks, axis=0) / max(1, len(upper[0]))).round(_DIGITS)
    return result + result.T


def _refuse_constant(layers: Layers) -> None:
    """Deviations below float32's resolution of the features are rounding, not features."""
    for place, name in enumerate(layers.names):
        columns = layers.columns(place)
        deviation = np.sqrt(np.trace(layers.between(place, place)) / layers.samples)
        if deviation <= _SAME * np.linalg.norm(layers.means[columns]):
            raise UserError(
                f"tap '{name}' shows the same features for all {layers.samples} samples, so that "
                "nothing can be like it; leave it out, or look at the teacher and its inputs"
            )


def _fault(found: Array, layers: int) -> str:
    """What is wrong with a matrix, "" where nothing is."""
    if found.shape != (layers, layers):
        return f"shape {found.shape}"
    if not np.isfinite(found).all():
        return "values that are not finite"
    if np.abs(found - found.T).max() > _TOLERANCE:
        return f"values that differ by {np.abs(found - found.T).max():.2g} across its diagonal"
    if np.abs(found.diagonal() - 1).max() > _TOLERANCE:
        return f"{found.diagonal().min():.6g} on its diagonal"
    low, high = found.min(), found.max()
    return f"{low:.6g} to {high:.6g}" if low < -_TOLERANCE or high > 1 + _TOLERANCE else ""
