"""How good predictions are: errors, correlations of ranks, and a margin that covers them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.cost.sheet import OperatorSheet
from stillhouse.core.typed import typed

Array = NDArray[np.float64]
Places = NDArray[np.int64]

COVERED: Final = 0.95
_FOLDS: Final = 10


@dataclass(frozen=True)
class FitReport:
    """How well measured candidates are predicted by a model that has not seen them.

    mape: mean absolute error relative to the measured latency. spearman, kendall (tau-b):
    correlations of ranks. within_10_percent: share of candidates whose error is at most 10 %.
    """

    measured: int
    mape: float
    spearman: float
    kendall: float
    within_10_percent: float

    @staticmethod
    def from_json(raw: Any) -> FitReport:
        """Raises TypeError on foreign content."""
        return typed(FitReport, raw)


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


def cross_validated(measured: Array, predict: Callable[[Places, Places], Array]) -> Array:
    """Each latency predicted without its own fold, (candidates,).

    `predict(seen, unseen)` fits to the candidates at the places `seen` and predicts those at
    `unseen`. There are ten folds, or one for each candidate where they are fewer; a fold takes
    every tenth candidate in order of latency.
    """
    fold = np.empty(len(measured), np.int64)
    fold[np.argsort(measured, kind="stable")] = np.arange(len(measured)) % _FOLDS
    predicted = np.empty(len(measured))
    for held_out in np.unique(fold):
        unseen = np.flatnonzero(fold == held_out)
        predicted[unseen] = predict(np.flatnonzero(fold != held_out), unseen)
    return np.maximum(predicted, np.finfo(np.float64).tiny)


def margin_over(
    predicted: Array,
    measured: Array,
    *,
    weight: Array | float = 1.0,
    covered: float = COVERED,
) -> float:
    """How far a new measurement may lie above its prediction, relative, in so many cases.

    The ceil((n + 1) covered)-th smallest of the n observed excesses: split conformal prediction
    (Lei et al. 2018, theorem 2.2), which holds whatever the excesses' distribution. Where n is too
    small for it (below 19 for 95 %, see `guaranteed`), the largest excess or the upper prediction
    bound of normally distributed excesses, whichever is larger. 0 when predictions err on the
    safe side. Excesses are multiplied by `weight` first: below 1 for those (candidates,) that were
    harder to predict than a new candidate will be (section 5.2 there).
    """
    over = np.sort((measured / predicted - 1) * weight)
    place = int(np.ceil((len(over) + 1) * covered)) - 1
    if place < len(over):
        return max(0.0, float(over[place]))
    return max(0.0, float(over[-1]), _normal_bound(over, covered))


def guaranteed(measured: int, covered: float = COVERED) -> float:
    """The share of new measurements that `margin_over` so many is sure to cover, on average.

    The largest of n excesses covers n / (n + 1), whatever their distribution.
    """
    return min(covered, measured / (measured + 1))


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


def checked(sheet: OperatorSheet, measured_ms: Array) -> Array:
    """The latencies as they came. ValueError unless there is a positive one for each candidate."""
    measured = np.asarray(measured_ms, np.float64)
    if measured.shape != (sheet.candidates,) or not (np.isfinite(measured) & (measured > 0)).all():
        raise ValueError(
            f"expected {sheet.candidates} positive latencies, came shape {measured.shape}, "
            f"lowest {measured.min(initial=np.inf)}"
        )
    return measured


def _normal_bound(over: Array, covered: float) -> float:
    """Student's upper prediction bound for one more value (Hahn 1970); 0 for a single one."""
    from scipy.special import stdtrit

    n = len(over)
    if n < 2:
        return 0.0
    quantile = float(stdtrit(n - 1, covered))
    return float(over.mean() + quantile * over.std(ddof=1) * np.sqrt(1 + 1 / n))


def _ranks(values: Array) -> Array:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    mean_rank: Array = np.cumsum(counts) - (counts - 1) / 2
    return mean_rank[inverse]
