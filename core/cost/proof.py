"""Limits on costs that are sums over genes: what can be reached, and what can not, exactly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.cost.limits import Limit, column
from stillhouse.core.search.exact import Within, extremes, minimise
from stillhouse.core.search.feasible import meets_limits
from stillhouse.core.search.sampler import Codes, Costs
from stillhouse.core.search.separable import Separable, separable
from stillhouse.core.space import Space

Array = NDArray[np.float64]

MOST_PROBES: Final = 1 << 15
_MOST_STATES: Final = 1 << 16


@dataclass(frozen=True, eq=False)
class Proof:
    """What exact solving tells about limits.

    `codes` (n, width) are the cheapest and dearest configurations that the limits call for, and
    when the limits can be met one by one, one that meets them all or else the nearest compromise.
    `missed` are limits that cannot be met even alone; `impossible` says that the limits cannot be
    met together. What is neither was not decided.
    """

    codes: Codes
    missed: Sequence[Limit]
    impossible: bool


def modelled(
    space: Space,
    costs: Costs,
    names: Sequence[str],
    rng: np.random.Generator,
    most: int = MOST_PROBES,
) -> Separable | None:
    """Costs as tables over genes, in the order of their names; None where they are no sums.

    Computes the costs of at most about `most` candidates.
    """

    def functions(codes: Codes) -> Array:
        table = costs.table(codes)
        return np.stack([column(table, name) for name in names], axis=1)

    return separable(space, functions, rng, most)


def solved_ranges(
    space: Space, costs: Costs, names: Sequence[str], rng: np.random.Generator
) -> dict[str, tuple[float, float]]:
    """Exact least and greatest value of costs that are sums over genes, alone or together."""
    model = modelled(space, costs, names, rng) if names else None
    if model is None:
        parts = (solved_ranges(space, costs, [name], rng) for name in names if len(names) > 1)
        return {name: ends for part in parts for name, ends in part.items()}
    low, high = extremes(model)
    apart = np.empty((0, space.width)) if costs.apart is None else costs.apart
    table = costs.table(apart) if len(apart) else dict.fromkeys(names, np.empty(0))
    return {
        name: (
            float(column(table, name).min(initial=low[j])),
            float(column(table, name).max(initial=high[j])),
        )
        for j, name in enumerate(names)
    }


def proof(
    space: Space, costs: Costs, limits: Sequence[Limit], rng: np.random.Generator
) -> Proof | None:
    """Prove what can be proven about limits; None when no limited cost is a sum over genes."""
    names = list(dict.fromkeys(limit.cost for limit in limits))
    model = modelled(space, costs, names, rng)
    if model is not None:
        return _together(model, names, costs, limits)
    found = [_alone(space, costs, limits, name, rng) for name in names if len(names) > 1]
    known = [one for one in found if one is not None]
    if not known:
        return None
    missed = [limit for one in known for limit in one.missed]
    return Proof(np.concatenate([one.codes for one in known]), missed, bool(missed))


def _alone(
    space: Space, costs: Costs, limits: Sequence[Limit], name: str, rng: np.random.Generator
) -> Proof | None:
    model = modelled(space, costs, [name], rng)
    own = [limit for limit in limits if limit.cost == name]
    return None if model is None else _ends(model, [name], costs, own)


def _together(
    model: Separable, names: Sequence[str], costs: Costs, limits: Sequence[Limit]
) -> Proof:
    ends = _ends(model, names, costs, limits)
    if ends.missed or len(limits) < 2:
        return ends
    low, high = bounds(names, limits)
    inward = _inward(names, limits)
    within = Within(low, high, lambda codes: meets_limits(costs, codes))
    inside = minimise(model, inward, within, most=_MOST_STATES)
    if inside.codes is not None:
        return Proof(np.vstack([ends.codes, inside.codes]), (), False)
    if not inside.exact:
        return ends
    price = np.array([_price(name, limits) for name in names])
    free = Within(low, high, lambda codes: np.ones(len(codes), dtype=np.bool_), price)
    nearest = minimise(model, np.zeros(len(names)), free, most=_MOST_STATES)
    codes = ends.codes if nearest.codes is None else np.vstack([ends.codes, nearest.codes])
    return Proof(codes, (), not _met_apart(costs))


def _ends(model: Separable, names: Sequence[str], costs: Costs, limits: Sequence[Limit]) -> Proof:
    """The best configuration for each limit by itself, and the limits that it does not meet."""
    open_ended = np.full(len(names), np.inf)
    within = Within(-open_ended, open_ended, lambda codes: np.ones(len(codes), dtype=np.bool_))
    rows, missed = [], []
    for limit in limits:
        weights = np.zeros(len(names))
        weights[list(names).index(limit.cost)] = 1.0 if limit.relation == "<=" else -1.0
        best = minimise(model, weights, within)
        if best.codes is None or not best.exact:
            continue
        rows.append(best.codes)
        if limit.excess(column(costs.table(best.codes[None]), limit.cost))[0] > 0:
            missed += [] if _met_apart(costs, limit) else [limit]
    codes = np.array(rows).reshape(len(rows), model.genome.space.width)
    return Proof(codes, missed, bool(missed))


def _met_apart(costs: Costs, limit: Limit | None = None) -> bool:
    """Whether a measured candidate meets a limit (all limits), which need no margin there."""
    if costs.apart is None:
        return False
    if limit is None:
        return bool(meets_limits(costs, costs.apart).any())
    values = column(costs.table(costs.apart), limit.cost)
    return bool((replace(limit, margin=0.0).excess(values) == 0).any())


def bounds(names: Sequence[str], limits: Sequence[Limit]) -> tuple[Array, Array]:
    """Least and greatest value of each cost within the limits and their margins, (names,) each."""
    low, high = np.full(len(names), -np.inf), np.full(len(names), np.inf)
    for limit in limits:
        at = list(names).index(limit.cost)
        # A margin makes costs worse: it stretches them away from zero or pulls them to it.
        stretched = (limit.bound >= 0) == (limit.relation == "<=")
        factor = 1.0 + limit.margin if stretched else 1.0 - limit.margin
        bound = limit.bound / factor if factor > 0 else np.copysign(np.inf, limit.bound)
        if limit.relation == "<=":
            high[at] = min(high[at], bound)
        else:
            low[at] = max(low[at], bound)
    return low, high


def _inward(names: Sequence[str], limits: Sequence[Limit]) -> Array:
    """Weights of costs that fall the better the limits are met."""
    weights = np.zeros(len(names))
    for limit in limits:
        sign = 1.0 if limit.relation == "<=" else -1.0
        weights[list(names).index(limit.cost)] += sign / (abs(limit.bound) or 1.0)
    return weights


def _price(name: str, limits: Sequence[Limit]) -> float:
    """What a unit of excess over a cost's limits counts, relative to the bound."""
    bounds_of = [abs(limit.bound) or 1.0 for limit in limits if limit.cost == name]
    return 1.0 / min(bounds_of)
