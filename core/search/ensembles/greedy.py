"""Greedy ensemble selection, with replacement."""

from __future__ import annotations

from typing import Final

import numpy as np

from stillhouse.core.search.ensembles.checking import Array
from stillhouse.core.search.ensembles.objective import Objective

PICKS: Final = 50


def greedy(objective: Objective, picks: int = PICKS) -> tuple[Array, tuple[int, ...]]:
    """Weights (models,), whole multiples of 1 / picks made, and the models in the order picked.

    Caruana et al. 2004: the best single model, then each time the model that lowers the objective
    most when it is averaged in, chosen before or not; the first of equals. Of up to `picks` picks
    those are kept that gave the least value, the fewest of equals.
    """
    models, counts = objective.models, np.zeros(objective.models)
    order: list[int] = []
    best, best_value = counts, np.inf
    for size in range(1, picks + 1):
        values = objective.values((counts + np.eye(models)) / size)
        order.append(int(values.argmin()))
        counts = counts + np.eye(models)[order[-1]]
        if values[order[-1]] < best_value:
            best, best_value = counts, float(values[order[-1]])
    kept = int(best.sum())
    return best / kept, tuple(order[:kept])
