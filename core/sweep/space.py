"""What a sweep varies, as a search space, and what it is after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from stillhouse.core.config.records import PluginUse, SearchRange
from stillhouse.core.config.sweep import SweepSection
from stillhouse.core.cost.limits import Limit
from stillhouse.core.plan.plan import dimension
from stillhouse.core.run.goals import Goals
from stillhouse.core.search.sampler import Objective
from stillhouse.core.space import Space


def space_of(parameters: Mapping[str, SearchRange]) -> Space:
    """One dimension a parameter, named by its key path."""
    return Space([dimension(path, found) for path, found in parameters.items()])


def goals_of(section: SweepSection) -> Goals:
    """Objectives and absolute limits of a sweep, all on what comes out of a trial."""
    objectives = (
        *(Objective(name, True) for name in section.maximize),
        *(Objective(name, False) for name in section.minimize),
    )
    limits = [Limit(one.cost, one.relation, one.value) for one in section.limits]
    return Goals(objectives, tuple(limits))


def point_of(values: Mapping[str, Any], parameters: Mapping[str, SearchRange]) -> dict[str, Any]:
    """The swept parameters among the keys of a Tune configuration, as plain Python values."""
    return {path: _plain(values[path]) for path in parameters}


def _plain(value: Any) -> Any:
    item = getattr(value, "item", None)
    return item() if callable(item) else value


def method_of(path: str, recipe: Sequence[PluginUse]) -> str:
    """The method that a key path leads into, by name or by place in the recipe; "" for none."""
    first, _, rest = path.partition(".")
    key = rest.partition(".")[0]
    if first != "recipe" or not key:
        return ""
    if key.isascii() and key.isdigit():
        return recipe[int(key)].name if int(key) < len(recipe) else ""
    return key
