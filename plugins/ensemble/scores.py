"""How good a mixture is on a split: means over samples, with 95 % intervals."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.evaluate.predictions import Predictions
from stillhouse.core.search.ensembles import Stack, mixed
from stillhouse.plugins.ensemble.cached import chosen

Array = NDArray[np.float64]
Interval = dict[str, float]

_Z: Final = 1.959963984540054
_LEAST: Final = 1e-12


def answers(
    found: Predictions,
    weights: Array,
    mixing: str = "probabilities",
    temperature: float = 1.0,
    stack: Stack | None = None,
) -> Array:
    """Probabilities (samples, classes) of a mixture; models of weight 0 are not read."""
    used = np.flatnonzero(weights)
    stored = chosen(found, used.tolist())
    if stack is not None:
        return stack.predict(stored)
    return mixed(stored, weights[used], mixing, temperature, found.several)


def log_losses(probabilities: Array, found: Predictions) -> Array:
    """Nats of every sample (samples,); of several labels their mean."""
    if found.several:
        right = np.where(found.targets == 1, probabilities, 1 - probabilities)
        return np.asarray(-np.log(np.maximum(right, _LEAST)).mean(1))
    right = probabilities[np.arange(found.samples), found.targets]
    return np.asarray(-np.log(np.maximum(right, _LEAST)))


def hits(probabilities: Array, found: Predictions) -> Array:
    """Shares of right answers of every sample (samples,)."""
    if found.several:
        return np.asarray(((probabilities > 0.5) == (found.targets == 1)).mean(1))
    return np.asarray((probabilities.argmax(1) == found.targets).astype(np.float64))


def interval(values: Array) -> Interval:
    """Mean of samples, and where it lies with 95 % by the normal approximation."""
    mean = float(values.mean())
    around = _Z * float(values.std(ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else 0.0
    return {"mean": mean, "low": mean - around, "high": mean + around}


def share(values: Array) -> Interval:
    """Mean of 0 and 1 with Wilson's interval (1927); of shares in between its normal form."""
    if not np.isin(values, (0.0, 1.0)).all():
        return interval(values)
    mean, n, z2 = float(values.mean()), len(values), _Z**2
    middle = (mean + z2 / (2 * n)) / (1 + z2 / n)
    around = _Z / (1 + z2 / n) * math.sqrt(mean * (1 - mean) / n + z2 / (4 * n**2))
    return {"mean": mean, "low": min(middle - around, mean), "high": max(middle + around, mean)}
