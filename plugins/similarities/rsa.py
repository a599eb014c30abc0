"""Representational similarity analysis."""

from __future__ import annotations

from typing import Final, final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.errors import UserError
from stillhouse.core.similarity import Layers, Similarity
from stillhouse.core.similarity.ranks import mean_ranks
from stillhouse.plugins.similarities.pairs import check_rows, squared_distances

Array = NDArray[np.float64]

_DIGITS: Final = 10
_BLOCK: Final = 16_384


@final
class Rsa(Similarity):
    """Spearman's correlation of two layers' Euclidean distances between samples; below 0 it is 0.

    Kriegeskorte, Mur and Bandettini 2008 (doi:10.3389/neuro.06.004.2008), who compare matrices of
    dissimilarities by rank. Over the kept samples. Invariant to rotations and to a common scale.
    """

    def matrix(self, layers: Layers) -> NDArray[np.float64]:
        """Raises `UserError` where all samples are equally far apart to a layer."""
        check_rows("rsa", len(layers.rows[0]))
        ranks = [_ranks(*layer) for layer in zip(layers.names, layers.rows, strict=True)]
        products = np.zeros((len(ranks), len(ranks)))
        for start in range(0, len(ranks[0]), _BLOCK):
            part = np.stack([one[start : start + _BLOCK] for one in ranks]).astype(np.float64)
            products += part @ part.T
        norms = np.sqrt(products.diagonal())
        found: Array = products / np.outer(norms, norms)
        return found.clip(min=0.0)


def _ranks(name: str, rows: Array) -> NDArray[np.float32]:
    """Centred ranks of the distances of all pairs, (pairs,); halves, which float32 holds.

    Distances that differ by rounding alone are ties.
    """
    squared = squared_distances(rows)[np.triu_indices(len(rows), 1)]
    farthest = squared.max()
    ranks = mean_ranks((squared / (farthest or 1.0)).round(_DIGITS))
    centred = (ranks - (len(ranks) + 1) / 2).astype(np.float32)
    if not centred.any():
        raise UserError(
            f"similarity rsa: the {len(rows)} samples kept are all equally far apart at tap "
            f"'{name}'; use linear-cka, or leave it out"
        )
    return centred
