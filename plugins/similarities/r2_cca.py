"""Mean squared canonical correlation."""

from __future__ import annotations

from typing import Final, final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.errors import UserError
from stillhouse.core.similarity import Layers, Similarity
from stillhouse.plugins.similarities.pairs import symmetric

Array = NDArray[np.float64]

_RANK: Final = 1e-5
"""Singular values of standardised features below this part of the largest are no directions."""
_LEAST: Final = 2
_ENOUGH: Final = 10


@final
class R2Cca(Similarity):
    """||Q_Y^T Q_X||_F^2 / min(p_X, p_Y), Q an orthonormal basis of the centred features.

    arXiv:1905.00414, table 1; p counts the directions that a layer's features span, so that dead
    channels do not count. Invariant to every invertible map. Unrelated layers have about
    p / samples (p the wider one's width), and those wider than the samples always have 1.
    """

    def matrix(self, layers: Layers) -> NDArray[np.float64]:
        """Raises `UserError` for fewer samples than twice the widest layer's features."""
        _check(layers)
        whitening = [_whitening(layers, one) for one in range(len(layers.names))]

        def shared(one: int, other: int) -> float:
            first, second = whitening[one], whitening[other]
            cosines = first.T @ layers.between(one, other) @ second
            return float((cosines * cosines).sum() / min(first.shape[1], second.shape[1]))

        return symmetric(len(whitening), shared)


def _whitening(layers: Layers, layer: int) -> Array:
    """(width, directions): the map W that makes centred features X an orthonormal basis X W."""
    scatter = layers.between(layer, layer)
    lengths = np.sqrt(scatter.diagonal())
    offset = np.abs(layers.means[layers.columns(layer)]) * np.sqrt(layers.samples)
    alive = lengths > np.finfo(np.float32).eps * offset
    scale = 1 / lengths[alive]
    values, vectors = np.linalg.eigh(scatter[np.ix_(alive, alive)] * np.outer(scale, scale))
    spanned = values > _RANK**2 * values[-1]
    whitening = np.zeros((len(scatter), int(spanned.sum())))
    whitening[alive] = scale[:, None] * vectors[:, spanned] / np.sqrt(values[spanned])
    return whitening


def _check(layers: Layers) -> None:
    widest = max(layers.widths)
    if layers.samples < _LEAST * widest:
        name = layers.names[layers.widths.index(widest)]
        raise UserError(
            f"similarity r2-cca: tap '{name}' has {widest} features, so that it needs at least "
            f"{_LEAST * widest} samples, better {_ENOUGH * widest} (where unrelated layers have "
            f"0.1), got {layers.samples}; give more samples, or use linear-cka"
        )
