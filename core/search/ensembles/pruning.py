"""Assistants that an ensemble can spare."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from numpy.typing import NDArray

from stillhouse.core.errors import UserError
from stillhouse.core.search.ensembles.checking import Predictions, checked
from stillhouse.core.search.ensembles.reduction import Wanted, reduced
from stillhouse.core.search.ensembles.solution import Solution, solved

WEIGHT: Final = 0.02
RISE: Final = 1e-3


@dataclass(frozen=True)
class Dropped:
    """A model that went: its weight before, and how much the value rose above all models'."""

    model: int
    weight: float
    rise: float


@dataclass(frozen=True, eq=False)
class Pruned:
    """The models that stay, in ascending order, those that went, in theirs, and the solution.

    The solution's weights (models,) are 0 for those that went.
    """

    kept: tuple[int, ...]
    dropped: tuple[Dropped, ...]
    solution: Solution


def prune(
    probabilities: Predictions,
    targets: NDArray[Any],
    *,
    weight: float = WEIGHT,
    rise: float = RISE,
    solver: str = "differential-evolution",
    objective: Wanted = "log_loss",
    mixing: str = "probabilities",
    temperature: float | str = 1.0,
    seed: int = 0,
) -> Pruned:
    """Models with a weight under `weight` go, while the value rises by less than `rise`.

    One at a time, the least weight first (the first of equals), the others solved anew. The rise is
    counted from the value of all models, so that small ones do not add up. Settings are those of
    `solve`, as are the errors.
    """
    if solver == "stacking":
        raise UserError(
            "ensemble: expected a solver of weights to drop models by, got 'stacking'; use "
            "differential-evolution or em"
        )
    family = reduced(*checked(probabilities, targets), objective, mixing, temperature)
    kept, dropped = tuple(range(family.middle.models)), list[Dropped]()
    full = now = solved(family, kept, objective, mixing, solver, seed)
    while small := [model for model in kept if now.weights[model] < weight and len(kept) > 1]:
        for model in sorted(small, key=lambda m: float(now.weights[m])):
            fewer = tuple(other for other in kept if other != model)
            without = solved(family, fewer, objective, mixing, solver, seed)
            if (higher := without.value - full.value) < rise:
                dropped.append(Dropped(model, float(now.weights[model]), higher))
                kept, now = fewer, without
                break
        else:
            break
    return Pruned(kept, tuple(dropped), now)
