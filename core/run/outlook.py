"""What a run's pool says about candidates that were never evaluated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.cost.limits import column
from stillhouse.core.cost.names import is_cost
from stillhouse.core.cost.refusal import refusal
from stillhouse.core.errors import LimitError
from stillhouse.core.run.evaluated import Flags, Known, among, within
from stillhouse.core.run.prospects import Aim, Rows, chance, predicted
from stillhouse.core.run.stored import Stored

SHOWN: Final = 5
"""Candidates that an answer lists."""
_LEAST: Final = 3
"""Fewer evaluations than this say nothing about other candidates."""


@dataclass(frozen=True)
class Prospect:
    """A candidate that was never evaluated: predicted values, and one standard deviation of each.

    `improvement` is the expected gain on the best known within the limits (of hypervolume, for
    several objectives), times the `chance` that the limits on measured values are met.
    """

    key: str
    configuration: Mapping[str, Any]
    costs: Mapping[str, float]
    values: Mapping[str, float]
    spread: Mapping[str, float]
    improvement: float
    chance: float


@dataclass(frozen=True)
class Outlook:
    """What the pool says; `whole` where it is the whole space.

    `meeting` configurations meet the limits on known costs and were never evaluated. `better` of
    these are predicted better than every evaluated candidate within the limits. `top` are the
    most promising ones, the best first.
    """

    configurations: int
    whole: bool
    meeting: int
    better: int
    top: Sequence[Prospect]


def look(stored: Stored, known: Known) -> Outlook | None:
    """Look through the pool; LimitError when nothing that is stored meets the known limits."""
    pool = stored.pool
    if pool is None:
        return None
    measured = among(pool.codes, stored.profiled)
    met = within(stored.limits, pool.table, measured, len(pool.codes))
    if not met.any() and not known.met.any():
        raise _refused(stored, measured)
    new = met & ~among(pool.codes, known.codes)
    top, better = _prospects(stored, known, np.flatnonzero(new))
    return Outlook(len(pool.codes), pool.whole, int(new.sum()), better, top)


def _refused(stored: Stored, measured: Flags) -> LimitError:
    assert stored.pool is not None  # noqa: S101 - the caller looked through it
    table = dict(stored.pool.table)
    for limit in stored.limits:
        if limit.margin and limit.relation == "<=":
            # As it is judged: what was measured comes back to itself when the margin is added.
            values = table[limit.cost]
            table[limit.cost] = np.where(measured, values / (1 + limit.margin), values)
    error = refusal(table, stored.limits, len(measured), stored.pool.whole)
    if stored.pool.whole:
        return error
    size = stored.plan.space.size()
    of = f"{size:,}" if isinstance(size, int) else "infinitely many"
    return LimitError(
        f"{error}. That is among the {len(measured):,} configurations, of {of}, that are stored in "
        f"{stored.folder}; a search looks further"
    )


def _prospects(
    stored: Stored, known: Known, places: NDArray[np.intp]
) -> tuple[list[Prospect], int]:
    """The most promising of these places in the pool, and how many are predicted better."""
    told = np.isfinite(known.told).all(axis=1)
    if told.sum() < _LEAST or not len(places) or stored.pool is None:
        return [], 0
    space, goals = stored.plan.space, stored.goals
    asked = Rows(space, stored.pool.codes, stored.pool.table).part(places)
    tried = Rows(space, known.codes, known.table).part(np.flatnonzero(told))
    mean, spread = predicted(tried, known.told[told], asked)
    for j, name in enumerate(known.names):
        if is_cost(name):
            mean[:, j], spread[:, j] = column(asked.costs, name), 0.0
    count, signs = len(goals.objectives), np.array([o.sign for o in goals.objectives])
    values = known.told[:, :count] * signs
    aim = Aim(values[known.sound & told], values[told].max(axis=0))
    chances = chance(goals.outcomes, mean[:, count:], spread[:, count:])
    gains = aim.improvement(mean[:, :count] * signs, spread[:, :count]) * chances
    better = int((aim.beaten(mean[:, :count] * signs) & (chances >= 0.5)).sum())
    top = np.argsort(-gains, kind="stable")[:SHOWN].tolist()
    return [
        Prospect(
            space.keys(asked.codes[i : i + 1])[0],
            space.decode(asked.codes[i]),
            {name: float(costs[i]) for name, costs in asked.costs.items()},
            dict(zip(known.names, mean[i].tolist(), strict=True)),
            dict(zip(known.names, spread[i].tolist(), strict=True)),
            float(gains[i]),
            float(chances[i]),
        )
        for i in top
    ], better
