"""Whether the limits can be met at all, settled before anything is evaluated."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.cost.limits import Limit, column, refuse_contradictions
from stillhouse.core.cost.proof import proof, solved_ranges
from stillhouse.core.cost.refusal import refusal
from stillhouse.core.search.descent import Descent, Score
from stillhouse.core.search.enumeration import enumerated
from stillhouse.core.search.feasible import meets_limits
from stillhouse.core.search.sampler import Codes, Costs
from stillhouse.core.space import Space

Ranges = Mapping[str, tuple[float, float]]

_BLOCK: Final = 2048
_ENOUGH: Final = 64


@dataclass(frozen=True, eq=False)
class Feasibility:
    """What is known about the feasible part of a space before the search.

    `feasible` (n, width) are candidates that meet every limit, at least one. `share` is the part
    of all configurations that does: exact when `exact`, else estimated from a uniform sample (0
    when that sample held none). `seen` holds the least and greatest value of each cost among the
    candidates looked at; `solve` tells those of all configurations, for costs that allow it.
    """

    feasible: Codes
    share: float
    seen: Ranges
    exact: bool
    solve: Callable[[], Ranges]

    @cached_property
    def proven(self) -> Ranges:
        """The exact ranges of limited costs, where they are sums over genes; solved for once."""
        return self.solve()

    @property
    def ranges(self) -> Ranges:
        """Least and greatest value of each cost, exact for those in `proven`."""
        return {**self.seen, **self.proven}


def settle(
    space: Space,
    costs: Costs,
    limits: Sequence[Limit],
    rng: np.random.Generator,
    budget: int = 20_000,
) -> Feasibility:
    """Find candidates that meet the limits, or prove (small spaces) or judge that there are none.

    Spaces of at most 20,000 configurations are enumerated. Larger ones are settled by their
    corners and a uniform sample; when nothing there meets the limits, by exact solving as far as
    the limited costs are sums over genes, and then by a descent on the violation over about
    `budget` candidates. Raises `LimitError` that names the binding limit and the nearest value
    within reach, and says so when that is proven.
    """
    refuse_contradictions(limits)
    everything = enumerated(space)
    if everything is not None:
        return _judged(costs, limits, everything, everything, len(everything))
    sample = space.sample(_BLOCK, rng)
    apart = sample[:0] if costs.apart is None else costs.apart
    looked_at = np.concatenate([space.corners(), apart, sample])
    examined = len(looked_at)
    if limits and not meets_limits(costs, looked_at).any():
        looked_at = np.concatenate([looked_at, _solved(space, costs, limits, looked_at, rng)])
    for score, hits in _aims(costs, limits):
        if meets_limits(costs, looked_at).sum() >= (hits or 1):
            break
        # The costs one by one share a budget: they only tell what is within reach.
        share = budget if hits else budget // len(limits)
        descent = Descent(space, score, rng, share)
        looked_at = np.concatenate([looked_at, descent.run(looked_at, hits)])
        examined += descent.examined
    found = _judged(costs, limits, space.unique(looked_at), sample, examined)
    names, own_rng = list(dict.fromkeys(limit.cost for limit in limits)), rng.spawn(1)[0]
    return replace(found, solve=lambda: solved_ranges(space, costs, names, own_rng))


def _solved(
    space: Space,
    costs: Costs,
    limits: Sequence[Limit],
    looked_at: Codes,
    rng: np.random.Generator,
) -> Codes:
    """Candidates from exact solving, (n, width); `LimitError` when it proves that there is none."""
    found = proof(space, costs, limits, rng)
    if found is None:
        return looked_at[:0]
    if found.impossible:
        table = costs.table(np.concatenate([looked_at, found.codes]))
        raise refusal(table, found.missed or limits, len(looked_at), exact=False, proven=True)
    return found.codes


def _aims(costs: Costs, limits: Sequence[Limit]) -> Iterator[tuple[Score, int | None]]:
    """What to minimise, in turn: the violation until enough meet the limits, then each cost.

    The costs matter only when nothing met the limits: they tell what is within reach.
    """
    yield costs.violation, _ENOUGH
    for limit in limits:
        yield _toward(costs, limit), None


def _toward(costs: Costs, limit: Limit) -> Score:
    """A score that falls as the limited cost moves towards its bound and past it."""
    sign = 1.0 if limit.relation == "<=" else -1.0

    def score(codes: Codes) -> NDArray[np.float64]:
        values = sign * column(costs.table(codes), limit.cost)
        return np.where(np.isfinite(values), values, np.inf)

    return score


def _judged(
    costs: Costs, limits: Sequence[Limit], looked_at: Codes, sample: Codes, examined: int
) -> Feasibility:
    """The verdict on candidates; `sample` is drawn evenly, or it is all of the space."""
    exact = looked_at is sample
    table = costs.table(looked_at)
    met = meets_limits(costs, looked_at)
    if not met.any():
        raise refusal(table, limits, examined, exact)
    share = float(meets_limits(costs, sample).mean())
    seen = _ranges(table)
    return Feasibility(looked_at[met], share, seen, exact, lambda: seen if exact else {})


def _ranges(table: Mapping[str, NDArray[np.float64]]) -> dict[str, tuple[float, float]]:
    finite = {name: values[np.isfinite(values)] for name, values in table.items()}
    return {name: (float(v.min()), float(v.max())) for name, v in finite.items() if len(v)}
