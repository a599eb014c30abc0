"""How good predictions are: errors, correlations of ranks, and a margin that covers them."""

from __future__ import annotations

from typing import Final

import numpy as np

from stillhouse.core.cost.latency.contract import Array, FitReport

COVERED: Final = 0.95


def judged(predicted: Array, measured: Array) -> FitReport:
    """Predictions of candidates that the model had not seen, each (candidates,)."""
    error = np.abs(predicted / measured - 1)
    return FitReport(
        measured=len(measured),
        mape=float(error.mean()),
        spearman=spearman(predicted, measured),
        kendall=kendall(predicted, measured),
        within_10_percent=float((error <= 0.1).mean()),
    )


def margin_over(predicted: Array, measured: Array, covered: float = COVERED) -> float:
    """How far a new measurement may lie above its prediction, relative, in so many cases.

    The ceil((n + 1) covered)-th smallest of the n observed excesses, at most the largest: split
    conformal prediction (Lei et al. 2018, theorem 2.2). 0 when predictions err on the safe side.
    """
    over = np.sort(measured / predicted - 1)
    place = min(len(over), int(np.ceil((len(over) + 1) * covered))) - 1
    return max(0.0, float(over[place]))


def spearman(a: Array, b: Array) -> float:
    """Correlation of ranks, ties sharing their mean rank; 0 where one side is constant."""
    ranks = np.stack([_ranks(a), _ranks(b)])
    centred = ranks - ranks.mean(axis=1, keepdims=True)
    size = np.sqrt((centred**2).sum(axis=1).prod())
    return float(centred.prod(axis=0).sum() / size) if size else 0.0


def kendall(a: Array, b: Array) -> float:
    """Kendall's tau-b: concordant minus discordant pairs, ties accounted for; 0 if constant."""
    upper = np.triu_indices(len(a), 1)
    first, second = (np.sign(np.subtract.outer(x, x))[upper] for x in (a, b))
    size = np.sqrt(np.square(first).sum() * np.square(second).sum())
    return float((first * second).sum() / size) if size else 0.0


def _ranks(values: Array) -> Array:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    mean_rank: Array = np.cumsum(counts) - (counts - 1) / 2
    return mean_rank[inverse]
