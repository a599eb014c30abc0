"""Centred kernel alignment with Gaussian kernels."""

from __future__ import annotations

from typing import Final, final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.errors import UserError
from stillhouse.core.similarity import Layers, Similarity
from stillhouse.plugins.similarities.pairs import check_rows, squared_distances

Array = NDArray[np.float64]

_FRACTION: Final = 0.8
"""Of the median distance between samples: the kernel's bandwidth."""
_ROWS: Final = 32


@final
class RbfCka(Similarity):
    """HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L)), K = exp(-d^2 / (2 bandwidth^2)).

    arXiv:1905.00414, section 3; the bandwidth is a fraction of the median distance, so that scale
    does not matter. Over the kept samples, a few kernel rows of all layers at a time. With few
    samples unrelated layers look alike, as with linear CKA.
    """

    def matrix(self, layers: Layers) -> NDArray[np.float64]:
        """Raises `UserError` where most samples look the same to a layer."""
        samples = len(layers.rows[0])
        check_rows("rbf-cka", samples)
        kernels = [_Kernel(*layer) for layer in zip(layers.names, layers.rows, strict=True)]
        products = np.zeros((len(kernels), len(kernels)))
        for start in range(0, samples, _ROWS):
            part = slice(start, start + _ROWS)
            rows = np.stack([kernel.centred(part).ravel() for kernel in kernels])
            products += rows @ rows.T
        norms = np.sqrt(products.diagonal())
        found: Array = products / np.outer(norms, norms)
        return found


@final
class _Kernel:
    """A layer's Gaussian kernel, (samples, samples), made some rows at a time."""

    def __init__(self, name: str, rows: Array) -> None:
        self._rows = rows
        squared = squared_distances(rows)
        median = float(np.median(np.sqrt(squared[np.triu_indices(len(rows), 1)])))
        if median <= np.finfo(np.float32).eps * float(np.linalg.norm(rows, axis=1).max()):
            raise UserError(
                f"similarity rbf-cka: most of the {len(rows)} samples kept look the same at tap "
                f"'{name}', so that their median distance is 0; use linear-cka, or leave it out"
            )
        self._twice_variance = 2 * (_FRACTION * median) ** 2
        self._means = np.exp(-squared / self._twice_variance).mean(1)

    def centred(self, part: slice) -> Array:
        """Rows of H K H, H the centring matrix."""
        kernel = np.exp(-squared_distances(self._rows, part) / self._twice_variance)
        centred: Array = kernel - self._means[part, None] - self._means + self._means.mean()
        return centred
