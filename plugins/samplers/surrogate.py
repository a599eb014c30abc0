"""A small Gaussian process that screens candidates before any of them is evaluated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_LENGTHS: Final = (0.4, 0.8, 1.6, 3.2)
_NOISES: Final = (1e-3, 1e-2, 1e-1)


@dataclass(frozen=True, eq=False)
class Surrogate:
    """Posterior of a zero-mean process with a Matérn-5/2 kernel on scaled encodings.

    Source: Rasmussen and Williams, "Gaussian Processes for Machine Learning", 2006, algorithm 2.1
    and equation 4.17.
    """

    inputs: Array
    length: float
    scale: Array
    offset: Array
    weights: Array
    factor: Array

    def predict(self, inputs: Array) -> tuple[Array, Array]:
        """Mean (n, objectives) and standard deviation (n, objectives) at `inputs` (n, F)."""
        cross = _matern(_distances(inputs, self.inputs) / self.length)
        mean = cross @ self.weights * self.scale + self.offset
        half = cross @ self.factor
        spread = np.sqrt(np.clip(1.0 - np.einsum("ij,ij->i", half, half), 1e-9, None))
        return mean, spread[:, None] * self.scale


def fit(inputs: Array, values: Array) -> Surrogate:
    """Fit to `inputs` (n, F) and `values` (n, objectives), n at least 2.

    Length scale and noise are the likeliest of a small grid, so the fit is deterministic and
    costs a dozen Cholesky factorisations.
    """
    offset, scale = values.mean(axis=0), values.std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    targets = (values - offset) / scale
    distances = _distances(inputs, inputs)
    unit = float(np.median(distances)) or 1.0
    fits = (
        (_factored(distances / (unit * length), targets, noise), unit * length)
        for length in _LENGTHS
        for noise in _NOISES
    )
    (_, lower), length = max(fits, key=lambda fitted: fitted[0][0])
    inverse = np.linalg.inv(lower)
    weights = inverse.T @ (inverse @ targets)
    return Surrogate(inputs, length, scale, offset, weights, inverse.T)


def _factored(distances: Array, targets: Array, noise: float) -> tuple[float, Array]:
    """Log marginal likelihood (without its constant) and the Cholesky factor."""
    lower = np.linalg.cholesky(_matern(distances) + np.eye(len(distances)) * noise)
    half = np.linalg.solve(lower, targets)
    determinant = targets.shape[1] * np.log(np.diag(lower)).sum()
    return float(-0.5 * (half**2).sum() - determinant), lower


def _distances(a: Array, b: Array) -> Array:
    squares = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1)[None] - 2.0 * a @ b.T
    root: Array = np.sqrt(np.clip(squares, 0.0, None))
    return root


def _matern(distances: Array) -> Array:
    scaled = np.sqrt(5.0) * distances
    out: Array = (1.0 + scaled + scaled**2 / 3.0) * np.exp(-scaled)
    return out
