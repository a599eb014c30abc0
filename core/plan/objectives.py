"""Whether a task measures what a run optimises, and in which direction."""

from __future__ import annotations

from collections.abc import Sequence

from stillhouse.core.config.records import SearchSection
from stillhouse.core.errors import ConfigError, nearest
from stillhouse.core.plugin.metrics import Metric


def check_objectives(search: SearchSection, task: str, metrics: Sequence[Metric]) -> None:
    """Raise `ConfigError` for a metric the task does not have, or optimised the wrong way."""
    better = {metric.name: metric.better for metric in metrics}
    for key, names in (("maximize", search.maximize), ("minimize", search.minimize)):
        for name in names:
            if name not in better:
                raise ConfigError(
                    f"search.{key}: task '{task}' does not measure '{name}'"
                    f"{nearest(name, better)} (it measures {', '.join(better)})"
                )
            way = "maximize" if better[name] == "higher" else "minimize"
            if key != way:
                raise ConfigError(
                    f"search.{key}: of '{name}' {better[name]} is better; write {way}: {name}"
                )
