"""Which models: subsets under a count limit, a cost limit, or both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.errors import LimitError, UserError
from stillhouse.core.search.ensembles.checking import Array
from stillhouse.core.search.ensembles.em import em
from stillhouse.core.search.ensembles.greedy import greedy
from stillhouse.core.search.ensembles.objective import LogLoss, Objective
from stillhouse.core.search.ensembles.slsqp import slsqp

ENUMERATED: Final = 12
"""Up to so many models every subset is looked at: 4,096 of them."""


@dataclass(frozen=True)
class Limits:
    """At most `count` models, whose `costs` (models,), in one unit, add up to `cost` or less."""

    count: int | None = None
    costs: Array | None = None
    cost: float | None = None

    def allow(self, subsets: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Whether each of subsets (subsets, models) is within the limits."""
        within = np.ones(len(subsets), dtype=bool)
        if self.count is not None:
            within &= subsets.sum(1) <= self.count
        if self.costs is not None and self.cost is not None:
            # Costs that add up to the limit but for rounding are within it.
            within &= subsets @ self.costs <= self.cost * (1 + 1e-12)
        return within


def limits(
    models: int, count: int | None, costs: Sequence[float] | Array | None, cost: float | None
) -> Limits:
    """Checked limits. Raises `UserError`, and `LimitError` if no model is within them."""
    if count is not None and count < 1:
        raise LimitError(
            f"ensemble: expected a count limit of 1 or more, got {count}; nearest reachable: 1"
        )
    if (costs is None) != (cost is None):
        raise UserError("ensemble: expected costs and a cost limit together, got one of them")
    if costs is None or cost is None:
        return Limits(count)
    given = np.asarray(costs, dtype=np.float64)
    if given.shape != (models,) or not (np.isfinite(given) & (given >= 0)).all():
        raise UserError(
            f"ensemble: expected {models} finite costs of 0 or more, one a model, got "
            f"{given.tolist()}"
        )
    if not given.min() <= cost:
        raise LimitError(
            f"ensemble: expected a cost limit that one model meets, got {cost:g}; nearest "
            f"reachable: {given.min():g}, model {int(given.argmin())} alone"
        )
    return Limits(count, given, float(cost))


def chosen(objective: Objective, within: Limits) -> tuple[int, ...]:
    """The models, in ascending order, whose best mixture has the least value within the limits.

    Exact for up to `ENUMERATED` models and a convex objective: a model more never does harm, so
    only subsets that admit no other model are weighed, by EM or SLSQP. For more models they are
    added one at a time, each time the one that lowers the value most. An objective without a
    gradient is weighed by greedy selection.
    """
    models = objective.models
    if within.allow(np.ones((1, models), dtype=bool))[0]:
        return tuple(range(models))
    return _enumerated(objective, within) if models <= ENUMERATED else _added(objective, within)


def _enumerated(objective: Objective, within: Limits) -> tuple[int, ...]:
    models = objective.models
    masks, bits = np.arange(1 << models), 1 << np.arange(models)
    subsets = (masks[:, None] & bits) > 0
    allowed = within.allow(subsets)
    full = allowed & ~(allowed[masks[:, None] | bits] & ~subsets).any(1)
    return _least(objective, subsets[full])


def _added(objective: Objective, within: Limits) -> tuple[int, ...]:
    own = np.zeros(objective.models, dtype=bool)
    while True:
        wider = (own | np.eye(len(own), dtype=bool))[~own]
        wider = wider[within.allow(wider)]
        if not len(wider):
            return tuple(np.flatnonzero(own).tolist())
        own = np.zeros_like(own)
        own[list(_least(objective, wider))] = True


def _least(objective: Objective, subsets: NDArray[Any]) -> tuple[int, ...]:
    """The subset with the least value; promising ones first, for an early ceiling."""
    uniform = objective.values(subsets / subsets.sum(1, keepdims=True))
    best, ceiling = subsets[0], np.inf
    for subset in subsets[np.argsort(uniform, kind="stable")]:
        value = _reached(objective.restricted(np.flatnonzero(subset).tolist()), ceiling)
        if value < ceiling:
            best, ceiling = subset, value
    return tuple(np.flatnonzero(best).tolist())


def _reached(objective: Objective, ceiling: float) -> float:
    """The best value, or one above the ceiling where it is not below that."""
    if isinstance(objective, LogLoss):
        return em(objective.likelihoods, ceiling=ceiling).loss
    weights = (slsqp if objective.smooth else greedy)(objective)[0]
    return objective.value(weights)
