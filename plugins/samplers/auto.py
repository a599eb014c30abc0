"""The default: chooses a sampler from what the problem is, and says why."""

from __future__ import annotations

from typing import Final, final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.plugin.params import Params
from stillhouse.core.search import Codes, Problem, Sampler, enumerated, meets_limits
from stillhouse.plugins.samplers.exact import Exact, solvable
from stillhouse.plugins.samplers.info import EvolutionParams, ExactParams, SurrogateParams

MANY: Final = 5_000
"""Planned evaluations beyond which a model's price per suggestion is no longer worth paying."""


@final
class Auto(Sampler):
    """Delegates to the sampler that `chosen` names; its note gives the reason."""

    def __init__(self, params: Params, problem: Problem) -> None:
        name, reason = chosen(problem)
        self._inner = _built(name, problem)
        self._reason = f"auto chose '{name}': {reason}"

    @property
    def notes(self) -> tuple[str, ...]:  # type: ignore[override]
        return (self._reason, *self._inner.notes)

    @property
    def fallbacks(self) -> int:  # type: ignore[override]
        return self._inner.fallbacks

    def ask(self, count: int) -> Codes:
        return self._inner.ask(count)

    def tell(
        self, codes: Codes, values: NDArray[np.float64], excess: NDArray[np.float64] | None = None
    ) -> None:
        self._inner.tell(codes, values, excess)


def chosen(problem: Problem) -> tuple[str, str]:
    """A sampler's name and why it suits the problem."""
    if not problem.outcomes and solvable(problem) is None:
        return "exact", "every objective is a known cost that separates over genes"
    feasible = _count(problem)
    if problem.budget is not None and feasible is not None and feasible <= problem.budget:
        return "random", (
            f"the budget of {problem.budget:,} covers all {feasible:,} configurations "
            "within the limits"
        )
    if problem.budget is not None and problem.budget > MANY:
        return "evolution", f"{problem.budget:,} evaluations are planned, more than {MANY:,}"
    return "surrogate", "quality is measured, so each evaluation is chosen by a model of the others"


def _count(problem: Problem) -> int | None:
    """Configurations within the limits, for a space small enough to count them."""
    everything = enumerated(problem.space)
    return None if everything is None else int(meets_limits(problem.costs, everything).sum())


def _built(name: str, problem: Problem) -> Sampler:
    if name == "exact":
        return Exact(ExactParams(), problem)
    if name == "random":
        from stillhouse.plugins.samplers.random import Random

        return Random(Params(), problem)
    if name == "evolution":
        from stillhouse.plugins.samplers.evolution import Evolution

        return Evolution(EvolutionParams(), problem)
    from stillhouse.plugins.samplers.gaussian import Surrogate

    return Surrogate(SurrogateParams(), problem)
