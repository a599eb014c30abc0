"""A small Gaussian process that screens candidates before any of them is evaluated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_LENGTHS: Final = (0.4, 0.8, 1.6, 3.2)
_NOISES: Final = (1e-3, 1e-2, 1e-1)
_JUDGES: Final = 64


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
    """Fit to `inputs` (n, F) and `values` (n, objectives), n at least 1.

    Length scale and noise are the likeliest of a small grid, judged by at most 64 of the points:
    the fit is deterministic and takes a few milliseconds.
    """
    offset, scale = values.mean(axis=0), values.std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    targets = (values - offset) / scale
    distances = _distances(inputs, inputs)
    length, noise = _likeliest(distances, targets)
    inverse: Array = np.linalg.inv(_lower(distances / length, noise)).astype(np.float64)
    weights = inverse.T @ (inverse @ targets)
    return Surrogate(inputs, length, scale, offset, weights, inverse.T)


def _likeliest(distances: Array, targets: Array) -> tuple[float, float]:
    """Length scale and noise of the greatest marginal likelihood."""
    some = np.arange(0, len(targets), 1 + (len(targets) - 1) // _JUDGES)
    distances, targets = distances[np.ix_(some, some)], targets[some]
    unit = float(np.median(distances)) or 1.0
    grid = [(unit * length, noise) for length in _LENGTHS for noise in _NOISES]
    return max(grid, key=lambda pair: _likelihood(distances / pair[0], targets, pair[1]))


def _likelihood(distances: Array, targets: Array, noise: float) -> float:
    """Log marginal likelihood without its constant."""
    lower = _lower(distances, noise)
    fit_error = (np.linalg.solve(lower, targets) ** 2).sum()
    return float(-0.5 * fit_error - targets.shape[1] * np.log(np.diag(lower)).sum())


def _lower(distances: Array, noise: float) -> Array:
    covariance = _matern(distances) + np.eye(len(distances)) * noise
    return np.linalg.cholesky(covariance).astype(np.float64)


def _distances(a: Array, b: Array) -> Array:
    squares = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1)[None] - 2.0 * a @ b.T
    root: Array = np.sqrt(np.clip(squares, 0.0, None))
    return root


def _matern(distances: Array) -> Array:
    scaled = np.sqrt(5.0) * distances
    out: Array = (1.0 + scaled + scaled**2 / 3.0) * np.exp(-scaled)
    return out
