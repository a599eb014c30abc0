"""Weights of an ensemble from cached predictions, by any of the solvers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.errors import UserError, nearest
from stillhouse.core.search.ensembles.checking import Array, Numbers, Predictions, checked, simplex
from stillhouse.core.search.ensembles.limits import Limits, chosen, limits
from stillhouse.core.search.ensembles.reduction import Wanted, reduced
from stillhouse.core.search.ensembles.solution import Solution, solved, spread
from stillhouse.core.search.ensembles.stacking import stack

SOLVERS: Final = (
    "differential-evolution",
    "em",
    "slsqp",
    "greedy",
    "stacking",
    "uniform",
    "best-single",
)


def solve(
    probabilities: Predictions,
    targets: NDArray[Any],
    *,
    solver: str = "differential-evolution",
    objective: Wanted = "log_loss",
    mixing: str = "probabilities",
    temperature: float | str = 1.0,
    seed: int = 0,
    count_limit: int | None = None,
    costs: Sequence[float] | Array | None = None,
    cost_limit: float | None = None,
    start: Sequence[float] | Array | None = None,
    workers: int = 1,
) -> Solution:
    """The weights that one of `SOLVERS` finds on a tuning split.

    From probabilities (models, samples, classes) and targets (samples,), or 0/1 (samples, labels)
    for several labels, where a label of a sample counts as a sample. `temperature` may be `search`:
    one of `TEMPERATURES`, for all models. Limits choose the models first (`chosen`), at the middle
    temperature, and the others get weight 0. `start` (models,) is a first guess for differential
    evolution, EM and SLSQP. One model gets weight 1 without a search. Only differential evolution
    uses `seed` and `workers`, and its weights do not depend on `workers`.

    Raises `UserError` for predictions or targets that cannot be used and for a solver that cannot
    serve the objective, `LimitError` if no model is within the limits.
    """
    if solver not in SOLVERS:
        raise UserError(
            f"ensemble: expected solver of {', '.join(SOLVERS)}, got '{solver}'"
            f"{nearest(solver, SOLVERS)}"
        )
    given, wanted = checked(probabilities, targets)
    models = len(given)
    within = limits(models, count_limit, costs, cost_limit)
    first = None if start is None else simplex(start, models)
    family = reduced(given, wanted, objective, mixing, temperature)
    best = solver == "best-single"
    members = _affordable(within, models) if best else chosen(family.middle, within)
    if solver != "stacking" or len(members) == 1:
        return solved(family, members, objective, mixing, solver, seed, first, workers)
    _stackable(objective, np.ndim(targets), temperature)
    return _stacked(given, wanted, members, str(objective), mixing)


def loss(
    probabilities: Predictions,
    targets: NDArray[Any],
    weights: Sequence[float] | Array,
    *,
    objective: str = "log_loss",
    mixing: str = "probabilities",
    temperature: float = 1.0,
) -> float:
    """The objective of given weights, on any split: for the numbers computed once, at the end."""
    given, wanted = checked(probabilities, targets)
    family = reduced(given, wanted, objective, mixing, temperature)
    return family.middle.value(simplex(weights, len(given)))


def _affordable(within: Limits, models: int) -> tuple[int, ...]:
    return tuple(np.flatnonzero(within.allow(np.eye(models, dtype=bool))).tolist())


def _stackable(objective: Wanted, dimensions: int, temperature: float | str) -> None:
    if dimensions != 1 or not isinstance(objective, str) or temperature != 1:
        raise UserError(
            "stacking: expected one label a sample, an objective by name and temperature 1, got "
            f"targets of {dimensions} dimensions, {objective!r} and {temperature!r}; use another "
            "solver"
        )


def _stacked(
    given: NDArray[Any],
    targets: Numbers,
    members: Sequence[int],
    objective: str,
    mixing: str,
) -> Solution:
    own = given if len(members) == len(given) else given[list(members)]
    fitted = stack(own, targets, logits=mixing == "logits")
    value = reduced(fitted.predict(own)[None], targets, objective).middle.value(np.ones(1))
    weights = spread(fitted.shares, members, len(given))
    return Solution(weights, 1.0, mixing, objective, value, None, fitted.evaluations, fitted)
