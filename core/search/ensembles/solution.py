"""Solutions of a reduced problem, and how far they are from the exact one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stillhouse.core.errors import UserError
from stillhouse.core.search.ensembles.checking import Array, simplex
from stillhouse.core.search.ensembles.em import em
from stillhouse.core.search.ensembles.evolution import evolve
from stillhouse.core.search.ensembles.greedy import greedy
from stillhouse.core.search.ensembles.objective import LogLoss, Objective
from stillhouse.core.search.ensembles.reduction import Family, Wanted
from stillhouse.core.search.ensembles.slsqp import slsqp
from stillhouse.core.search.ensembles.stacking import Stack


@dataclass(frozen=True, eq=False)
class Solution:
    """Weights (models,) on the simplex, and what they reach on the samples they were found on.

    `value` is the objective's, lower being better: nats a sample, Brier score, or error rate for
    `accuracy`. `gap` is the value less the exact referee's for the same models and temperature,
    EM's for mixed probabilities and SLSQP's for mixed logits; None unless the objective is log-
    loss, and of a stack, which is no mixture. `evaluations` counts candidates valued. With
    `stacking`, `stack` predicts, `value` is the stack's, and `weights` are only each model's share
    of its coefficients.
    """

    weights: Array
    temperature: float
    mixing: str
    objective: str
    value: float
    gap: float | None
    evaluations: int
    stack: Stack | None = None


@dataclass(frozen=True)
class _Found:
    weights: Array
    temperature: int
    evaluations: int


def solved(
    family: Family,
    members: Sequence[int],
    objective: Wanted,
    mixing: str,
    solver: str,
    seed: int = 0,
    start: Array | None = None,
    workers: int = 1,
) -> Solution:
    """The solution among some models of a reduced problem, by any solver but stacking."""
    models, name = family.middle.models, objective if isinstance(objective, str) else "function"
    part = family if len(members) == models else family.restricted(members)
    found = _found(part, solver, seed, _inside(start, members), workers)
    at = part.objectives[found.temperature]
    value = at.value(found.weights)
    gap = value - referee(at) if name == "log_loss" else None
    weights = spread(found.weights, members, models)
    temperature = part.temperatures[found.temperature]
    return Solution(weights, temperature, mixing, name, value, gap, found.evaluations)


def _found(family: Family, solver: str, seed: int, start: Array | None, workers: int) -> _Found:
    if solver == "differential-evolution" and family.middle.models > 1:
        evolved = evolve(family, seed, start, workers=workers)
        return _Found(evolved.weights, evolved.temperature, evolved.evaluations)
    tried = [_weights(objective, solver, start) for objective in family.objectives]
    values = [at.value(own[0]) for at, own in zip(family.objectives, tried, strict=True)]
    best = int(np.argmin(values))
    return _Found(tried[best][0], best, sum(own[1] for own in tried))


def _weights(objective: Objective, solver: str, start: Array | None) -> tuple[Array, int]:
    """Weights (models,) and the number of evaluations, at one temperature."""
    models = objective.models
    if models == 1 or solver == "uniform":
        return np.full(models, 1 / models), 1
    if solver == "best-single":
        return np.eye(models)[objective.values(np.eye(models)).argmin()], models
    if solver == "greedy":
        weights, picks = greedy(objective)
        return weights, models * len(picks)
    if solver == "slsqp":
        return slsqp(objective, start)
    if not isinstance(objective, LogLoss):
        raise UserError(
            "em: expected log_loss of mixed probabilities, got another objective or mixed logits; "
            "use slsqp or differential-evolution"
        )
    fit = em(objective.likelihoods, start)
    return fit.weights, 3 * len(fit.losses) - 2


def referee(objective: Objective) -> float:
    """The least log-loss: by EM for mixed probabilities, by SLSQP for mixed logits."""
    if isinstance(objective, LogLoss):
        return objective.value(em(objective.likelihoods).weights)
    return objective.value(slsqp(objective)[0])


def _inside(start: Array | None, members: Sequence[int]) -> Array | None:
    """The start among the members, or none if all of it lies on others."""
    if start is None or not start[list(members)].sum():
        return None
    return simplex(start[list(members)], len(members))


def spread(weights: Array, members: Sequence[int], models: int) -> Array:
    """Weights (models,) from those of the members, 0 for the others."""
    full = np.zeros(models)
    full[list(members)] = weights
    return full
