"""Measured values as an evaluator gives them, turned into what a sampler is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.cost.limits import Limit
from stillhouse.core.errors import UserError, nearest
from stillhouse.core.search.sampler import Objective

Values = NDArray[np.float64]
Given = Values | Sequence[Any] | Mapping[str, Any]
"""Values by name, each (n,), or when only objectives are measured an array (n, objectives)."""


@dataclass(frozen=True)
class Measurements:
    """What an evaluation has to tell: `objectives` that are no known cost, and what `limits` name.

    `limits` are those on measured values; their excess is relative to the bound's magnitude
    (absolute for a bound of 0), negative inside the limit, NaN where the evaluation failed.
    """

    objectives: Sequence[Objective]
    limits: Sequence[Limit]
    known: frozenset[str]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the measured values, the objectives in their order first."""
        wanted = [o.name for o in self.objectives if o.name not in self.known]
        return tuple(dict.fromkeys([*wanted, *(limit.cost for limit in self.limits)]))

    def read(self, given: Given, known: Mapping[str, Values], count: int) -> tuple[Values, Values]:
        """Values (count, objectives) and excess (count, limits); `known` has the objectives' costs.

        A candidate with any measured value that is not finite has failed: NaN throughout. Raises
        UserError when a name or a number of values is not as expected.
        """
        found = self._named(given, count)
        values = [{**known, **found}[objective.name] for objective in self.objectives]
        excess = [limit.signed_excess(found[limit.cost]) for limit in self.limits]
        sound = np.isfinite([np.zeros(count), *found.values()]).all(axis=0)
        told = np.where(sound, np.array([*values, *excess]), np.nan).T
        return told[:, : len(values)], told[:, len(values) :]

    def _named(self, given: Given, count: int) -> dict[str, Values]:
        if not isinstance(given, Mapping):
            given = self._columns(given, count)
        for name in given:
            if name not in self.names:
                hint = nearest(str(name), self.names)
                raise UserError(f"tell: nothing wants '{name}'{hint}; {self._expected}")
        if missing := [name for name in self.names if name not in given]:
            raise UserError(f"tell: no values of {', '.join(missing)}; {self._expected}")
        return {name: _numbers(name, given[name], (count,)) for name in self.names}

    def _columns(self, given: Any, count: int) -> dict[str, Values]:
        if any(limit.cost not in {o.name for o in self.objectives} for limit in self.limits):
            raise UserError(f"tell: expected values by name; {self._expected}")
        array = _numbers("values", given, None)
        if array.ndim == 1 and len(self.names) == 1:
            array = array[:, None]
        if array.shape != (count, len(self.names)):
            raise UserError(
                f"tell: expected values of shape ({count}, {len(self.names)}), got {array.shape}; "
                f"{self._expected}"
            )
        return dict(zip(self.names, array.T, strict=True))

    @property
    def _expected(self) -> str:
        names = ", ".join(f'"{name}": ...' for name in self.names)
        return f"tell(codes, {{{names}}}) takes one number a candidate under each name"


def _numbers(name: str, given: Any, shape: tuple[int, ...] | None) -> Values:
    try:
        array = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise UserError(f"tell: {name}: expected numbers, NaN for a failure ({error})") from None
    if shape is not None and array.shape != shape:
        raise UserError(f"tell: {name}: expected shape {shape}, got {array.shape}")
    return array
