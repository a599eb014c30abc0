"""Known costs from a plain function, for searches that bring their own evaluator."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.cost.limits import Limit, violation
from stillhouse.core.errors import UserError
from stillhouse.core.search.sampler import Codes, Costs
from stillhouse.core.space import Space

Table = Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True)
class KnownCosts:
    """A function that knows costs, and what it is called with; see `known_costs`."""

    function: Callable[[Any], Mapping[str, Any]]
    of: Literal["columns", "codes"] = "columns"

    def table(self, space: Space, codes: Codes) -> Table:
        """Every cost by name, each (n,); UserError when the function returns anything else."""
        found = self.function(space.columns(codes) if self.of == "columns" else codes)
        if not isinstance(found, Mapping):
            raise UserError(f"costs: expected costs by name, got {type(found).__name__}")
        return {str(name): _column(name, cost, len(codes)) for name, cost in found.items()}


def known_costs(
    function: Callable[[Any], Mapping[str, Any]], of: Literal["columns", "codes"] = "columns"
) -> KnownCosts:
    """Costs that a function tells by name, each (n,), before any of n candidates is evaluated.

    It is called with the values of the candidates' genes as `Space.columns` has them, (n,) by
    name and NaN or None where inactive; with `of="codes"` with the codes, (n, width). Thousands of
    candidates come at once: there should be no loop over them.
    """
    return KnownCosts(function, of)


@final
class FunctionCosts(Costs):
    """Known costs under limits; every name that the function tells may carry one."""

    def __init__(self, space: Space, known: KnownCosts, limits: Sequence[Limit] = ()) -> None:
        self.limits = tuple(limits)
        self.limited = tuple(dict.fromkeys(limit.cost for limit in limits))
        self._space, self._known = space, known

    def table(self, codes: Codes) -> Table:
        return self._known.table(self._space, codes)

    def violation(self, codes: Codes) -> NDArray[np.float64]:
        return violation(self.table(codes), self.limits) if self.limits else np.zeros(len(codes))


def _column(name: object, cost: Any, count: int) -> NDArray[np.float64]:
    try:
        column = np.asarray(cost, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise UserError(f"costs: {name}: expected numbers ({error})") from None
    if column.shape != (count,):
        raise UserError(
            f"costs: {name}: expected one number for each of {count} candidates, shape "
            f"({count},), got shape {column.shape}; compute costs for all candidates at once"
        )
    return column
