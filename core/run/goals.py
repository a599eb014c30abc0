"""What a run is after: objectives, limits on measured values, and who stands how among them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.config.records import SearchSection
from stillhouse.core.cost.limits import Limit, refuse_contradictions, resolve
from stillhouse.core.run.ledger import Entry
from stillhouse.core.search.front import on_front
from stillhouse.core.search.sampler import Objective

Array = NDArray[np.float64]
Known = Mapping[str, float]
"""Costs and metrics of one candidate, by name."""


@final
@dataclass(frozen=True)
class Goals:
    """Objectives, each a metric or a known cost, and absolute limits on metrics (`outcomes`)."""

    objectives: tuple[Objective, ...]
    outcomes: tuple[Limit, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The outcomes as a problem names them: `accuracy >= 0.97`."""
        return tuple(str(limit) for limit in self.outcomes)

    def values(self, known: Known) -> list[float]:
        """The objectives' values in their order; NaN where one is missing."""
        return [known.get(objective.name, np.nan) for objective in self.objectives]

    def excess(self, known: Known) -> list[float]:
        """By how much each outcome breaks its limit: at most 0 where met, NaN where missing."""
        return [
            float(limit.signed_excess(np.array([known.get(limit.cost, np.nan)]))[0])
            for limit in self.outcomes
        ]

    def violation(self, known: Known) -> float:
        """Sum of what breaks the limits on metrics: 0 where all are met, infinite where unknown."""
        if not self.outcomes:
            return 0.0
        over = np.array(self.excess(known))
        return float(np.where(np.isnan(over), np.inf, np.maximum(over, 0.0)).sum())

    def table(self, entries: Sequence[Entry]) -> tuple[Array, Array]:
        """Values (n, objectives) and excess (n, outcomes) of evaluations, NaN where missing."""
        values = np.empty((len(entries), len(self.objectives)))
        for place, objective in enumerate(self.objectives):
            values[:, place] = column(entries, objective.name)
        excess = np.empty((len(entries), len(self.outcomes)))
        for place, limit in enumerate(self.outcomes):
            excess[:, place] = limit.signed_excess(column(entries, limit.cost))
        return values, excess

    def standing(self, known: Known) -> list[float]:
        """Sorts the best first: by the first objective, then by the next ones."""
        pairs = zip(self.objectives, self.values(known), strict=True)
        return [objective.sign * value for objective, value in pairs]


def objectives_of(search: SearchSection) -> tuple[Objective, ...]:
    return (
        *(Objective(name, True) for name in search.maximize),
        *(Objective(name, False) for name in search.minimize),
    )


def goals_of(search: SearchSection, teacher: Known) -> Goals:
    """The goals of a run; `teacher` are its teacher's metrics, of which percentages are.

    Raises UserError for a percentage of a metric that the teacher does not have, LimitError for
    a lower bound above the upper one.
    """
    outcomes = tuple(
        resolve(limit.cost, limit.relation, limit.value, limit.relative, teacher, [limit.cost])
        for limit in search.outcome_limits
    )
    refuse_contradictions(outcomes, ", percentages taken of the teacher's")
    return Goals(objectives_of(search), outcomes)


def column(entries: Sequence[Entry], name: str) -> Array:
    """A value or cost by name, as `known_of` has it, (n,)."""
    found = [
        (one.values[name] if name in one.values else one.costs.get(name, np.nan))
        if one.values
        else np.nan
        for one in entries
    ]
    return np.array(found, dtype=np.float64)


def known_of(entry: Entry) -> Known:
    """Known costs and measured values of an evaluation; nothing of one that failed."""
    return {**entry.costs, **entry.values} if entry.values else {}


def latest(entries: Iterable[Entry]) -> list[Entry]:
    """Each candidate's evaluation on the highest rung it reached, in order of evaluation."""
    last = {entry.key: entry for entry in entries}
    return sorted(last.values(), key=lambda entry: entry.number)


def ranked(entries: Sequence[Entry], goals: Goals, costs: Sequence[str]) -> list[Entry]:
    """Candidates that did not fail on the highest rung they reached, best first.

    Those that meet the limits on metrics come before all others, those of a higher rung before
    those of a lower one, then by the goals; equal ones by cost, then by key.
    """

    def order(entry: Entry) -> tuple[object, ...]:
        known = known_of(entry)
        over, rung = goals.violation(known), entry.fidelity or 0.0
        limited = [entry.costs[name] for name in costs]
        return (over > 0, -rung, over, *goals.standing(known), *limited, entry.key)

    return sorted((entry for entry in latest(entries) if entry.values), key=order)


def varied(order: Sequence[Entry], goals: Goals) -> list[Entry]:
    """Ranked candidates with the front of several objectives first, spread over it.

    The best one stays first; each next one of the front is the farthest, objectives scaled to
    their range on the front, from all before it. With one objective the order stays.
    """
    on = front_of(order, goals, ())
    front = [entry for entry, keep in zip(order, on, strict=True) if keep]
    if len(goals.objectives) < 2 or len(front) < 3:
        return list(order)
    values = np.array([goals.values(known_of(entry)) for entry in front])
    span = np.ptp(values, axis=0)
    points = (values - values.min(axis=0)) / np.where(span > 0, span, 1.0)
    away, chosen = np.full(len(front), np.inf), [0]
    while len(chosen) < len(front):
        away = np.minimum(away, np.linalg.norm(points - points[chosen[-1]], axis=1))
        away[chosen] = -1.0
        chosen.append(int(np.argmax(away)))
    rest = [entry for entry, keep in zip(order, on, strict=True) if not keep]
    return [*(front[i] for i in chosen), *rest]


def front_of(entries: Sequence[Entry], goals: Goals, costs: Sequence[str]) -> list[bool]:
    """Which evaluations are best in some mix of the objectives and of `costs`, lower ones better.

    Only evaluations that meet the limits on metrics, at the highest fidelity that any of these
    reached: values of different rungs do not compare.
    """
    names = [name for name in costs if name not in {o.name for o in goals.objectives}]
    known = [known_of(entry) for entry in entries]
    sound = [bool(one) and goals.violation(one) == 0 for one in known]
    rungs = [entry.fidelity or 0.0 for entry in entries]
    top = max((rung for rung, good in zip(rungs, sound, strict=True) if good), default=0.0)
    points = np.full((len(entries), len(goals.objectives) + len(names)), np.nan)
    for i, one in enumerate(known):
        if sound[i] and rungs[i] == top:
            points[i] = [*goals.values(one), *(one[name] for name in names)]
    directions = [o.maximize for o in goals.objectives] + [False] * len(names)
    return [bool(on) for on in on_front(points, directions)]
