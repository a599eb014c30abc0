"""Weights of a mixture from predictions on the tuning split, as a choice asks for them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.errors import LimitError, UserError
from stillhouse.core.evaluate import Artefact, Choice, Context
from stillhouse.core.evaluate.predictions import Predictions
from stillhouse.core.search.ensembles import TEMPERATURES, Solution, Stack, loss, prune, solve
from stillhouse.plugins.ensemble.cached import chosen, predictions
from stillhouse.plugins.ensemble.member import TEACHER, Member, members

Array = NDArray[np.float64]


@final
@dataclass(frozen=True, eq=False)
class Weighed:
    """Weights (models,) of everybody predicted, 0 for those left out.

    `value` is the objective's on the tuning split, `gap` how far it lies above the exact optimum
    of the models that stayed; `dropped` are members that went by how much the loss rose.
    """

    weights: Array
    temperature: float
    value: float
    gap: float | None
    evaluations: int
    seed: int
    dropped: dict[int, float]
    stack: Stack | None = None

    @property
    def used(self) -> list[int]:
        """Places of the models of weight above 0; with a stack, of all that it reads."""
        return np.flatnonzero(self.weights).tolist()


def weighed(artefact: Artefact, choice: Choice, context: Context) -> Weighed:
    """The weights of a choice; solved once for the parameters that decide them.

    Raises:
        LimitError: no model is within the limit, or the given mixture is beyond it.
        UserError: `given` fits no number of models; predictions are not of the tuning split.
    """
    params = choice.params
    key = f"weights {[getattr(params, name) for name in _DECIDING]}"
    if key not in artefact.memo:
        artefact.memo[key] = _weighed(artefact, params, context)
    found: Weighed = artefact.memo[key]
    return found


_DECIDING = (
    "include_teacher", "only", "weights", "given", "objective", "mixing", "calibrate", "drop",
    "drop_below", "drop_rise", "at_most", "limit_on", "limit",
)  # fmt: skip


def mixable(everyone: Sequence[Member], params: Any) -> list[int]:
    """Places of the models that may be mixed."""
    if params.weights == "teacher-alone":
        return [0]
    allowed = params.only or range(len(everyone))
    return [
        k
        for k, one in enumerate(everyone)
        if (params.include_teacher if one.name == TEACHER else k - 1 in allowed)
    ]


def solver_settings(params: Any, seed: int) -> dict[str, Any]:
    """How weights are found, as `solve` takes it."""
    return {
        "objective": params.objective,
        "mixing": params.mixing,
        "temperature": "search" if params.calibrate else 1.0,
        "seed": seed,
    }


def _weighed(artefact: Artefact, params: Any, context: Context) -> Weighed:
    everyone, tuning = members(artefact), predictions(artefact, "tuning").tuning()
    places = mixable(everyone, params)
    if not places:
        raise UserError(
            "ensemble: expected a model to mix, got none; give assistants, runs or predictions, or "
            "include_teacher: true"
        )
    # Not of the repeat: it is the student that is trained again.
    seed = replace(context, repeat=0).seed("ensemble", "solver")
    if params.weights == "teacher-alone":
        found = _valued(tuning, places, np.ones(1), params)
    elif params.weights == "given":
        found = _valued(tuning, places, _given(params, places, everyone), params)
    else:
        return _solved(tuning, places, params, seed, _limits(everyone, places, params))
    return _placed(found, places, len(everyone), seed, {})


_PRUNED = ("differential-evolution", "em", "slsqp", "greedy")


def _solved(
    tuning: Predictions, places: list[int], params: Any, seed: int, limits: dict[str, Any]
) -> Weighed:
    """Limits choose the models first; the rule of small weights drops some of these."""
    settings = {**solver_settings(params, seed), "solver": params.weights}
    drops = params.drop and params.weights in _PRUNED and len(places) > 1
    dropped: dict[int, float] = {}
    if limits or not drops:
        found = solve(chosen(tuning, places), tuning.targets, **settings, **limits)
    if drops:
        if limits:
            places = [places[k] for k in np.flatnonzero(found.weights)]
        few = {"weight": params.drop_below, "rise": params.drop_rise}
        gone = prune(chosen(tuning, places), tuning.targets, **settings, **few)
        found, dropped = gone.solution, {places[one.model]: one.rise for one in gone.dropped}
    return _placed(found, places, len(tuning.models), seed, dropped)


def _valued(tuning: Predictions, places: list[int], shares: Array, params: Any) -> Solution:
    """Weights that are not solved, at the best temperature where that is asked for."""
    searched = params.calibrate and params.weights == "given"
    values = {
        at: loss(
            chosen(tuning, places), tuning.targets, shares, objective=params.objective,
            mixing=params.mixing, temperature=at,
        )
        for at in (sorted(TEMPERATURES, key=lambda at: abs(math.log(at))) if searched else (1.0,))
    }  # fmt: skip
    best = min(values, key=lambda at: values[at])
    return Solution(shares, best, params.mixing, params.objective, values[best], None, len(values))


def _placed(
    found: Solution, places: Sequence[int], models: int, seed: int, dropped: dict[int, float]
) -> Weighed:
    weights = np.zeros(models)
    weights[list(places)] = found.weights
    return Weighed(
        weights, found.temperature, found.value, found.gap, found.evaluations, seed, dropped,
        None if found.stack is None else _reading(found.stack),
    )  # fmt: skip


def _reading(stack: Stack) -> Stack:
    """The stack without models of coefficients 0, which have the weight 0 and are not read."""
    return replace(stack, coefficients=stack.coefficients[stack.shares > 0])


def _given(params: Any, places: Sequence[int], everyone: Sequence[Member]) -> Array:
    """The weights of the run file. Raises LimitError where their models are beyond a limit."""
    if len(params.given) != len(places):
        names = ", ".join(everyone[k].name for k in places)
        raise UserError(
            f"ensemble.given: expected a weight for each of {len(places)} models ({names}), got "
            f"{len(params.given)}"
        )
    shares = np.asarray(params.given, np.float64) / float(sum(params.given))
    _refuse_beyond(int((shares > 0).sum()), params.at_most or math.inf, "models")
    if params.limit is not None:
        costs = [
            _cost(everyone[places[k]], params.limit_on) for k in np.flatnonzero(shares).tolist()
        ]
        _refuse_beyond(sum(costs), params.limit, params.limit_on)
    return shares


def _refuse_beyond(came: float, most: float, unit: str) -> None:
    if came > most:
        raise LimitError(
            f"ensemble.given: expected weights of models within the limit of {most:g} {unit}, got "
            f"{came:g}; give some the weight 0, or raise the limit"
        )


def _limits(everyone: Sequence[Member], places: Sequence[int], params: Any) -> dict[str, Any]:
    """Limits on the mixture, as `solve` takes them; empty without any."""
    found: dict[str, Any] = {"count_limit": params.at_most} if params.at_most else {}
    if params.limit is None:
        return found
    costs = [_cost(everyone[k], params.limit_on) for k in places]
    return {**found, "costs": costs, "cost_limit": params.limit}


def _cost(member: Member, name: str) -> float:
    value = getattr(member, name)
    if value is None:
        raise UserError(
            f"ensemble.limit: expected every model's {name}, but '{member.name}' ({member.source}) "
            "has none that is known; limit another cost, or leave it out"
        )
    return float(value)
