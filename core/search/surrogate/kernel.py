"""The covariance of two candidates, and how relevant each group of features is to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Places = NDArray[np.int64]
Real = TypeVar("Real", np.float32, np.float64)

_NOISE: Final = (1e-5, 1.0)
_REACH: Final = 8.0
_FIRST_STEPS, _STEPS = 30, 12


@dataclass(frozen=True, eq=False)
class Settings:
    """Relevance of each group and the noise's share of the signal's variance, as logarithms."""

    relevance: Array
    noise: float

    def scaled(self, inputs: Array, groups: Places) -> Array:
        """Inputs (n, columns) so that plain squared distances are weighted."""
        return inputs * np.exp(0.5 * self.relevance)[groups]


def matern(squares: NDArray[Real]) -> NDArray[Real]:
    """Matérn-5/2 of squared weighted distances (Rasmussen and Williams 2006, equation 4.17).

    Overwrites its argument; keeps the precision.
    """
    np.maximum(squares, 0.0, out=squares)
    squares *= 5.0
    root = np.sqrt(squares)
    squares /= 3.0
    squares += root
    squares += 1.0
    np.negative(root, out=root)
    squares *= np.exp(root, out=root)
    return squares


def squares(a: NDArray[Real], b: NDArray[Real]) -> NDArray[Real]:
    """Squared distances of rows, (n, m)."""
    out: NDArray[Real] = a @ b.T
    out *= -2.0
    out += (a * a).sum(axis=1)[:, None]
    out += (b * b).sum(axis=1)[None]
    return out


def fit(inputs: Array, targets: Array, groups: Places, start: Settings | None) -> Settings:
    """The most probable settings for standardised `targets` (n,) at `inputs` (n, columns).

    The marginal likelihood, its signal variance profiled out (Rasmussen and Williams 2006,
    equations 5.8 and 5.9), under log-normal priors: without data every group shares alike in a
    mean weighted distance of 1. Deterministic; a few dozen steps of L-BFGS.
    """
    from scipy.optimize import minimize

    parts = np.array([squares(part, part) for part in _by_group(inputs, groups)])
    parts = parts.reshape(-1, len(inputs), len(inputs))
    prior = np.append(-np.log(_typical(parts) * len(parts)), np.log(1e-2))
    width = np.append(np.ones(len(parts)), 2.0)
    first = prior if start is None else np.append(start.relevance, start.noise)
    reach = [(at - _REACH, at + _REACH) for at in prior[:-1].tolist()]
    bounds = [*reach, tuple(np.log(_NOISE))]

    def objective(point: Array) -> tuple[float, Array]:
        value, slope = _unlikelihood(point, parts, targets)
        off = (point - prior) / width
        return value + 0.5 * float(off @ off), slope + off / width

    steps = _FIRST_STEPS if start is None else _STEPS
    found = minimize(
        objective, first, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": steps}
    )
    return Settings(found.x[:-1], float(found.x[-1]))


def _typical(parts: Array) -> Array:
    """Mean squared distance in each group, (groups,); the usual one where the data hardly differ.

    Otherwise the groups about which nothing is known yet would count for the most relevant.
    """
    mean: Array = parts.mean(axis=(1, 2))
    usual = float(mean[mean > 0].mean()) if (mean > 0).any() else 1.0
    return np.where(mean < 0.1 * usual, usual, mean)


def _by_group(inputs: Array, groups: Places) -> list[Array]:
    return [inputs[:, groups == group] for group in range(int(groups.max(initial=-1)) + 1)]


def _unlikelihood(point: Array, parts: Array, targets: Array) -> tuple[float, Array]:
    """Negative log marginal likelihood without constants, and its gradient by `point`."""
    from scipy.linalg import LinAlgError, cho_factor, cho_solve

    count = len(targets)
    weights, noise = np.exp(point[:-1]), float(np.exp(point[-1]))
    root = np.sqrt(5.0 * np.maximum(np.tensordot(weights, parts, 1), 0.0))
    fall = np.exp(-root)
    covariance = (1.0 + root + root * root / 3.0) * fall
    covariance[np.diag_indices(count)] += noise
    try:
        factor = cho_factor(covariance, lower=True, check_finite=False)
    except LinAlgError:
        return 1e10, np.zeros_like(point)
    inverse = cho_solve(factor, np.eye(count), check_finite=False)
    solved = inverse @ targets
    variance = max(float(targets @ solved) / count, 1e-12)
    value = 0.5 * count * np.log(variance) + float(np.log(np.diag(factor[0])).sum())
    pull = 0.5 * (inverse - np.outer(solved, solved) / variance)
    # dk/dq = -(5/6)(1 + r) exp(-r) for q the weighted squared distance
    by_distance = pull * (1.0 + root) * fall * (-5.0 / 6.0)
    slope = np.tensordot(parts, by_distance, 2) * weights
    return float(value), np.append(slope, np.trace(pull) * noise)
