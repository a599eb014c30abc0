"""Why no candidate meets the limits, told in terms of the limits."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.cost.limits import Limit, Table, column, excesses
from stillhouse.core.errors import LimitError


def refusal(
    table: Table, limits: Sequence[Limit], examined: int, exact: bool, proven: bool = False
) -> LimitError:
    """The error for limits that no candidate of the cost table meets together.

    Names the limits that cannot be met even alone, the worst first, each with its bound and the
    nearest value within reach; where every limit can be met alone, the nearest compromise. Values
    of limits with a margin are shown with it, so a bound relaxed to the value shown can be met.
    The table holds the best of the `examined` configurations, or when `exact` every one there is.
    With `proven` it holds the best of all configurations, found by exact solving.
    """
    over = excesses(table, limits)
    alone = over.min(axis=1)
    missed = [limits[i] for i in np.argsort(-alone, kind="stable") if alone[i] > 0]
    scope = f"{'all ' if exact else ''}{examined:,} configurations were looked at"
    if proven:
        scope = "proven for every configuration of the space"
    if missed:
        facts = "; ".join(_out_of_reach(limit, column(table, limit.cost)) for limit in missed)
        return LimitError(f"no candidate can meet {facts} ({scope}). {_ADVICE}")
    wanted = " and ".join(map(str, limits))
    nearest = int(np.argmin(over.sum(axis=0)))
    compromise = ", ".join(_compromise(limit, table, nearest) for limit in limits)
    if over[:, nearest].sum() == 0:
        reason = f"no candidate meets {wanted} by the margin that these costs need: the nearest has"
    else:
        reason = (
            f"each limit can be met alone, but no candidate meets {wanted} together: "
            "the nearest compromise has"
        )
    return LimitError(f"{reason} {compromise} ({scope}). {_ADVICE}")


_ADVICE = "Relax the limit or search a wider space"


def _out_of_reach(limit: Limit, values: NDArray[np.float64]) -> str:
    finite = values[np.isfinite(values)]
    if not len(finite):
        return f"'{limit}': no configuration has a finite {limit.cost}"
    judged = limit.judged(finite)
    best = judged.min() if limit.relation == "<=" else judged.max()
    margin = f", {limit.margin:.0%} margin included" if limit.margin else ""
    return f"'{limit}': the nearest reachable value is {_outward(limit, float(best))}{margin}"


def _compromise(limit: Limit, table: Table, at: int) -> str:
    value = column(table, limit.cost)[at : at + 1]
    shown = f"{limit.cost} {_outward(limit, float(limit.judged(value)[0]))}"
    excess = float(limit.excess(value)[0])
    return f"{shown} ({100 * excess:.2g}% off)" if excess > 0 else shown


def _outward(limit: Limit, value: float) -> str:
    """Four digits, rounded away from the bound so that the printed value is itself reachable."""
    if not math.isfinite(value) or value == 0:
        return f"{value:g}"
    digits = 3 - math.floor(math.log10(abs(value)))
    rounded = round(value, digits)
    if Limit(limit.cost, limit.relation, rounded).excess(np.array([value]))[0] > 0:
        unit = 10.0**-digits if limit.relation == "<=" else -(10.0**-digits)
        rounded = round(rounded + unit, digits)
    return f"{rounded:.10g}"
