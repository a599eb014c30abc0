"""Limits: absolute bounds on costs or metrics, and by how much candidates exceed them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.cost.names import COST_NAMES as COST_NAMES
from stillhouse.core.cost.names import advice, base_of, is_cost
from stillhouse.core.errors import LimitError, UserError, nearest

Relation = Literal["<=", ">="]
Table = Mapping[str, NDArray[np.float64]]
"""Known costs by name, each (candidates,)."""

_BYTES: Final[Mapping[str, float]] = {"size_bytes": 1.0, "size_kb": 1e3, "size_mb": 1e6}


@dataclass(frozen=True)
class Limit:
    """An absolute bound on one cost or metric; `<=` and `>=` both include the bound.

    `margin` is the share by which a predicted cost may be wrong: costs are compared as if they
    were that much worse.
    """

    cost: str
    relation: Relation
    bound: float
    margin: float = 0.0

    def judged(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """The costs as they are compared with the bound: worse by the margin."""
        slack = self.margin * np.abs(values)
        return values + slack if self.relation == "<=" else values - slack

    def excess(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Relative excess over the bound, (candidates,): 0 where met, infinite where not finite.

        Relative to the bound's magnitude, or absolute when the bound is 0.
        """
        with np.errstate(invalid="ignore", over="ignore"):
            judged = self.judged(values)
            over = judged - self.bound if self.relation == "<=" else self.bound - judged
            relative = np.maximum(over, 0.0) / (abs(self.bound) or 1.0)
        return np.where(np.isfinite(values), relative, np.inf)

    def signed_excess(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """As `excess`, but negative where there is room left, and NaN where not finite."""
        with np.errstate(invalid="ignore", over="ignore"):
            judged = self.judged(values)
            over = judged - self.bound if self.relation == "<=" else self.bound - judged
            relative = over / (abs(self.bound) or 1.0)
        return np.where(np.isfinite(values), relative, np.nan)

    def __str__(self) -> str:
        return f"{self.cost} {self.relation} {self.bound:.10g}"


def resolve(
    cost: str,
    relation: Relation,
    value: float,
    relative: bool,
    teacher_costs: Mapping[str, float],
    names: Sequence[str] | None = None,
) -> Limit:
    """Make a limit absolute; a `relative` value is in percent of what the teacher has.

    `names` are what may be limited, None for every known cost. Raises `UserError` for another
    name, a bound that is not finite, or a relative limit on what is not known of the teacher.
    """
    if not is_cost(cost) if names is None else cost not in names:
        known = COST_NAMES if names is None else names
        raise UserError(
            f"limits: expected one of {', '.join(known)}; got '{cost}'"
            f"{nearest(base_of(cost), known)}{advice(cost)}"
        )
    bound = value / 100.0 * _of_teacher(cost, teacher_costs) if relative else float(value)
    if not math.isfinite(bound):
        raise UserError(f"limits: {cost}: expected a finite bound, got {bound}")
    return Limit(cost, relation, bound)


def _of_teacher(cost: str, teacher_costs: Mapping[str, float]) -> float:
    table = {name: np.array([value]) for name, value in teacher_costs.items()}
    if cost not in table and not (cost in _BYTES and _BYTES.keys() & table.keys()):
        raise UserError(
            f"limits: {cost}: a percentage needs the teacher's {cost}, which is not known "
            f"(known: {', '.join(sorted(table)) or 'nothing'}); give an absolute bound"
        )
    return float(column(table, cost)[0])


def column(table: Table, cost: str) -> NDArray[np.float64]:
    """One cost of every candidate, converting between `size_bytes`, `size_kb` and `size_mb`.

    Raises `UserError` when the table holds neither the cost nor a size it follows from.
    """
    if cost in table:
        return table[cost]
    if cost in _BYTES:
        for unit, size_bytes in _BYTES.items():
            if unit in table:
                return table[unit] * (size_bytes / _BYTES[cost])
    raise UserError(
        f"limits: nothing computes '{cost}' for this recipe{nearest(cost, table)} "
        f"(known costs: {', '.join(sorted(table)) or 'none'}){advice(cost)}"
    )


def excesses(table: Table, limits: Sequence[Limit]) -> NDArray[np.float64]:
    """Relative excess over each limit, (limits, candidates)."""
    rows = [limit.excess(column(table, limit.cost)) for limit in limits]
    if rows:
        return np.stack(rows)
    return np.zeros((0, len(next(iter(table.values()))) if table else 0))


def violation(table: Table, limits: Sequence[Limit]) -> NDArray[np.float64]:
    """Sum of relative excesses over the limits, (candidates,); 0 means every limit is met."""
    total: NDArray[np.float64] = excesses(table, limits).sum(axis=0)
    return total


def refuse_contradictions(limits: Sequence[Limit], aside: str = "") -> None:
    """Raise `LimitError` for a lower bound above the upper one; `aside` says how bounds came."""
    for low in limits:
        for high in limits:
            same = (low.cost, low.relation, high.relation) == (high.cost, ">=", "<=")
            if same and low.bound > high.bound:
                raise LimitError(
                    f"limits: nothing is both {low} and {high}{aside}; the nearest reachable "
                    "bounds are equal ones: relax one of the two to the other"
                )
