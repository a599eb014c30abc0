"""Orthogonal Procrustes similarity."""

from __future__ import annotations

from typing import final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.similarity import Layers, Similarity
from stillhouse.plugins.similarities.pairs import symmetric


@final
class Procrustes(Similarity):
    """1 - d / 2, d the least ||X R - Y||_F^2 over rotations R of centred features of norm 1.

    d = 2 - 2 ||X^T Y||_* (Ding, Denain and Steinhardt 2021, arXiv:2108.01661, section 2), so that
    this is the nuclear norm of X^T Y. Invariant to rotations and to a common scale. Unrelated
    layers of width p have about 0.85 sqrt(p / samples).
    """

    def matrix(self, layers: Layers) -> NDArray[np.float64]:
        count = range(len(layers.names))
        norms = [np.sqrt(np.trace(layers.between(one, one))) for one in count]

        def overlap(one: int, other: int) -> float:
            nuclear = np.linalg.norm(layers.between(one, other), "nuc")
            return float(nuclear / (norms[one] * norms[other]))

        return symmetric(len(norms), overlap)
