"""Whether a task measures what a run optimises and limits, and in which direction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from stillhouse.core.config.records import SearchSection
from stillhouse.core.cost.limits import COST_NAMES, Limit
from stillhouse.core.cost.names import is_cost
from stillhouse.core.errors import ConfigError, LimitError, nearest
from stillhouse.core.plugin.metrics import Metric


def check_objectives(search: SearchSection, task: str, metrics: Sequence[Metric]) -> None:
    """Raise `ConfigError` for what is neither a metric nor a cost, or optimised the wrong way."""
    better = _better(metrics)
    for key, names in (("maximize", search.maximize), ("minimize", search.minimize)):
        for name in names:
            if name not in better and not is_cost(name):
                raise ConfigError(f"search.{key}: {_unknown(name, task, metrics)}")
            side = better.get(name, "lower")
            way = "maximize" if side == "higher" else "minimize"
            if key != way:
                raise ConfigError(
                    f"search.{key}: of '{name}' {side} is better; write {way}: {name}"
                )


def check_limits(search: SearchSection, task: str, metrics: Sequence[Metric]) -> None:
    """Raise `ConfigError` for a limit on what the task does not measure.

    Raises `LimitError` for one that no model can meet, such as an accuracy of 97 (percent is
    written 0.97).
    """
    known = {metric.name: metric for metric in metrics}
    for wanted in search.outcome_limits:
        if wanted.cost not in known:
            raise ConfigError(f"search.limits: {_unknown(wanted.cost, task, metrics)}")
        if not wanted.relative:
            limit = Limit(wanted.cost, wanted.relation, wanted.value)
            refuse_beyond_best(limit, known[wanted.cost])


def refuse_beyond_best(limit: Limit, metric: Metric) -> None:
    """Raise `LimitError` for a limit that lies beyond the best value a metric can take."""
    side = ">=" if metric.better == "higher" else "<="
    if metric.best is None or limit.relation != side:
        return
    if limit.excess(np.array([metric.best]))[0] > 0:
        raise LimitError(
            f"search.limits: '{limit}' cannot be met: the best {metric.name} there is, and the "
            f"nearest reachable value, is {metric.best:g}; write for example "
            f"{metric.name}: '{limit.relation} {_example(limit, metric.best)}'"
        )


def _example(limit: Limit, best: float) -> str:
    """The bound as a share where it was plainly meant as a percentage, else the best value."""
    share = limit.bound / 100
    return f"{share:g}" if limit.relation == ">=" and 1 < limit.bound <= 100 else f"{best:g}"


def _better(metrics: Sequence[Metric]) -> Mapping[str, str]:
    costs = dict.fromkeys(COST_NAMES, "lower")
    return {**{metric.name: metric.better for metric in metrics}, **costs}


def _unknown(name: str, task: str, metrics: Sequence[Metric]) -> str:
    names = [metric.name for metric in metrics]
    return (
        f"task '{task}' does not measure '{name}'{nearest(name, [*names, *COST_NAMES])} "
        f"(it measures {', '.join(names)}; known costs are {', '.join(COST_NAMES)})"
    )
