"""Linear centred kernel alignment."""

from __future__ import annotations

from typing import final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.similarity import Layers, Similarity
from stillhouse.plugins.similarities.pairs import symmetric


@final
class LinearCka(Similarity):
    """||Y^T X||_F^2 / (||X^T X||_F ||Y^T Y||_F), features centred (arXiv:1905.00414, section 3).

    In feature form: no matrix of samples by samples is made. Invariant to rotations and to a common
    scale. With few samples unrelated layers look alike: two of width 32 reach 0.35 at 64 samples.
    """

    def matrix(self, layers: Layers) -> NDArray[np.float64]:
        count = range(len(layers.names))
        norms = [np.linalg.norm(layers.between(one, one)) for one in count]

        def alignment(one: int, other: int) -> float:
            cross = layers.between(one, other)
            return float((cross * cross).sum() / (norms[one] * norms[other]))

        return symmetric(len(norms), alignment)
