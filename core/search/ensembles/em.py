"""Expectation-maximisation for mixture weights: the exact referee of log-loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from stillhouse.core.search.ensembles.checking import Array

_BOUND: Final = 1e-10
_STEPS: Final = 10_000
_LEAST: Final = 0.1


@dataclass(frozen=True)
class Fit:
    """Weights (models,), their log-loss in nats, and the losses on the way, the start's first.

    No weights lie more than `bound` below `loss`.
    """

    weights: Array
    loss: float
    bound: float
    losses: tuple[float, ...]


def em(likelihoods: Array, start: Array | None = None, ceiling: float = np.inf) -> Fit:
    """Weights that minimise -mean_n log sum_k w_k a_kn, from likelihoods (models, samples) above 0.

    A step is w_k <- w_k g_k with g_k = mean_n a_kn / sum_j w_j a_jn. The loss is convex and never
    rises; no loss lies below it by more than max_k g_k - 1, its duality gap, and the search ends
    where that is 1e-10. Every two steps are followed by an extrapolation (SQUAREM, Varadhan and
    Roland 2008), taken only if it lowers the loss further. `start` (models,) is on the simplex and
    uniform by default. Ends early once nothing below `ceiling` can be reached.
    """
    models = len(likelihoods)
    weights = np.full(models, 1 / models) if start is None else (start + 1e-9) / (1 + models * 1e-9)
    loss, ratios = _step(likelihoods, weights)
    losses = [loss]
    while (bound := ratios.max() - 1) > _BOUND and loss - bound < ceiling and len(losses) < _STEPS:
        weights, loss, ratios = _cycle(likelihoods, weights, ratios)
        losses.append(loss)
    return Fit(weights, loss, max(float(bound), 0.0), tuple(losses))


def _step(likelihoods: Array, weights: Array) -> tuple[float, Array]:
    """Loss, and the factors g (models,) of the next step."""
    mixture = weights @ likelihoods
    ratios = likelihoods @ (1 / mixture) / len(mixture)
    return float(-np.log(mixture).mean()), ratios


def _cycle(likelihoods: Array, weights: Array, ratios: Array) -> tuple[Array, float, Array]:
    once = _scaled(weights * ratios)
    twice = _scaled(once * _step(likelihoods, once)[1])
    loss, found = _step(likelihoods, twice)
    first, second = once - weights, twice - 2 * once + weights
    if (curvature := float(np.linalg.norm(second))) == 0:
        return twice, loss, found
    length = max(float(np.linalg.norm(first)) / curvature, 1.0)
    ahead = weights + 2 * length * first + length**2 * second
    # A weight of 0 would stay 0 for good.
    ahead = _scaled(np.maximum(ahead, _LEAST * twice))
    further, ratios = _step(likelihoods, ahead)
    return (ahead, further, ratios) if further < loss else (twice, loss, found)


def _scaled(weights: Array) -> Array:
    return np.asarray(weights / weights.sum())
