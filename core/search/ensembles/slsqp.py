"""Sequential least-squares programming: the second referee, for any smooth objective."""

from __future__ import annotations

import numpy as np

from stillhouse.core.errors import UserError
from stillhouse.core.search.ensembles.checking import Array
from stillhouse.core.search.ensembles.objective import Objective


def slsqp(objective: Objective, start: Array | None = None) -> tuple[Array, int]:
    """Weights (models,) on the simplex, and the number of evaluations.

    By SciPy's SLSQP (Kraft 1988), from `start` (models,), uniform by default. The optimum of a
    convex objective; a local one of the Brier score of mixed logits. Never worse than the start.
    Raises `UserError` for an objective without a gradient.
    """
    if not objective.smooth:
        raise UserError(
            "slsqp: expected log_loss or brier, got an objective without a gradient; use "
            "differential-evolution"
        )
    from scipy.optimize import Bounds, LinearConstraint, minimize

    models = objective.models
    first: Array = np.full(models, 1 / models) if start is None else start

    def valued(weights: Array, /) -> tuple[float, Array]:
        return objective.value(weights), objective.gradient(weights)

    found = minimize(
        valued,
        first,
        jac=True,
        method="SLSQP",
        bounds=Bounds(np.zeros(models), np.ones(models)),
        constraints=LinearConstraint(np.ones((1, models)), 1, 1),
        options={"ftol": 1e-13, "maxiter": 500},
    )
    clipped = np.maximum(np.asarray(found.x, dtype=np.float64), 0)
    weights = clipped / clipped.sum()
    better = objective.value(weights) <= objective.value(first)
    return (weights if better else first), int(found.nfev)
