"""Which parameter of a sweep mattered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.config.records import SearchRange

_GROUPS: Final = 4
_EACH: Final = 3
"""Trials in a group of numbers, at least."""


def importance(
    points: Sequence[Mapping[str, Any]],
    values: Sequence[float],
    parameters: Mapping[str, SearchRange],
) -> dict[str, float]:
    """For each parameter the share (0 to 1) of the values' variance that it alone explains.

    Adjusted epsilon-squared of a one-way layout (Kelley, 1935): groups are the choices, or a
    number's quantiles (up to four, of three trials or more), and what as many groups would explain
    by chance is taken off. Blind to what parameters do only together. Empty for too few or equal
    values.
    """
    told = np.array(values, dtype=np.float64)
    total = float(((told - told.mean()) ** 2).sum()) if len(told) else 0.0
    if len(told) < 2 * _EACH or total == 0:
        return {}
    return {
        path: _explained(_groups([point[path] for point in points], allowed), told, total)
        for path, allowed in parameters.items()
    }


def _explained(groups: NDArray[np.int64], told: NDArray[np.float64], total: float) -> float:
    kinds, count = np.unique(groups), len(told)
    if len(kinds) < 2 or count <= len(kinds):
        return 0.0
    parts = [told[groups == kind] for kind in kinds]
    within = float(sum(((part - part.mean()) ** 2).sum() for part in parts))
    left = within / (count - len(kinds)) * (count - 1) / total
    return min(max(1.0 - left, 0.0), 1.0)


def _groups(given: Sequence[Any], allowed: SearchRange) -> NDArray[np.int64]:
    if allowed.choices:
        return np.array([allowed.choices.index(value) for value in given], np.int64)
    numbers = np.array(given, dtype=np.float64)
    count = max(1, min(_GROUPS, len(numbers) // _EACH))
    edges = np.quantile(numbers, np.linspace(0, 1, count + 1)[1:-1])
    return np.searchsorted(np.unique(edges), numbers, side="left").astype(np.int64)
