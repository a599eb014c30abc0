"""Stacking: multinomial logistic regression on out-of-fold predictions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.search.ensembles.checking import Array, Numbers
from stillhouse.core.search.ensembles.mixing import logarithms


@dataclass(frozen=True)
class Stack:
    """A linear model over all models' predictions.

    `coefficients` (models, classes, classes) turn a model's probabilities, or with `logits` their
    logarithms less the mean over classes, into scores; `intercepts` (classes,).
    """

    coefficients: Array
    intercepts: Array
    logits: bool
    evaluations: int

    def predict(self, probabilities: NDArray[Any]) -> Array:
        """Probabilities (samples, classes) from (models, samples, classes)."""
        features = _features(probabilities, self.logits)
        scores = features @ self.coefficients.reshape(-1, len(self.intercepts)) + self.intercepts
        return _softmax(scores)

    @property
    def shares(self) -> Array:
        """How much of the coefficients' absolute sum is each model's, (models,), summing to 1."""
        sums = np.abs(self.coefficients).sum((1, 2))
        return np.asarray(sums / sums.sum() if sums.sum() else np.full(len(sums), 1 / len(sums)))


def stack(
    probabilities: NDArray[Any], targets: Numbers, logits: bool = False, strength: float = 1.0
) -> Stack:
    """Fit to predictions (models, samples, classes) of models that did not train on the samples.

    Minimises |coefficients|^2 / 2 + strength * sum_n -log p_n[target], the intercepts free, by
    L-BFGS from 0. `strength` is scikit-learn's C.
    """
    from scipy.optimize import minimize

    models, samples, classes = probabilities.shape
    features = _features(probabilities, logits)
    wanted = np.zeros((samples, classes))
    wanted[np.arange(samples), targets] = 1

    def loss(flat: Array, /) -> tuple[float, Array]:
        coefficients, intercepts = np.split(flat.reshape(-1, classes), [features.shape[1]])
        scores = features @ coefficients + intercepts
        top = scores.max(1, keepdims=True)
        logs = scores - top - np.log(np.exp(scores - top).sum(1, keepdims=True))
        error = strength * (np.exp(logs) - wanted)
        value = (coefficients**2).sum() / 2 - strength * (wanted * logs).sum()
        slope = np.vstack([coefficients + features.T @ error, error.sum(0)])
        return float(value / samples), np.asarray(slope.ravel() / samples)

    zeros = np.zeros((features.shape[1] + 1) * classes)
    found = minimize(
        loss,
        zeros,
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": 1000, "maxfun": 2000, "gtol": 1e-8, "ftol": 1e-14},
    )
    fitted = np.asarray(found.x, dtype=np.float64).reshape(-1, classes)
    shape = (models, classes, classes)
    return Stack(fitted[:-1].reshape(shape), fitted[-1], logits, int(found.nfev))


def _features(probabilities: NDArray[Any], logits: bool) -> Array:
    """(samples, models x classes)."""
    given = np.moveaxis(np.asarray(probabilities, dtype=np.float64), 0, 1)
    if logits:
        given = logarithms(given)
        given -= given.mean(-1, keepdims=True)
    return given.reshape(len(given), -1)


def _softmax(scores: Array) -> Array:
    raised = np.exp(scores - scores.max(-1, keepdims=True))
    return np.asarray(raised / raised.sum(-1, keepdims=True))
