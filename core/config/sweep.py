"""The `sweep` section: which keys of a run file vary from trial to trial, and what for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from stillhouse.core.config.limits import read_limits
from stillhouse.core.config.nodes import Node, Scalar, Spot
from stillhouse.core.config.records import Limit, PluginUse, SearchRange
from stillhouse.core.config.scheduling import (
    Budget,
    Scheduler,
    read_budget,
    read_scheduler,
    refuse_without_budget,
)
from stillhouse.core.config.sections import DEFAULT_SAMPLER, read_objectives
from stillhouse.core.config.swept import read_parameters
from stillhouse.core.config.uses import read_use
from stillhouse.core.config.values import Setting, read_values
from stillhouse.core.plugin.metrics import Metric
from stillhouse.core.plugin.params import Params, declared, param

SECONDS: Final = "seconds"
"""What a trial took: an objective and a limit beside metrics and costs."""
_KEYS: Final = ("parameters", "maximize", "minimize", "limits", "sampler", "scheduler", "budget")


class SweepSettings(Params):
    """How many trials, on what, and what becomes of the best."""

    trials: int = param(20, low=1, high=1_000_000, searchable=False, help="trials in all")
    concurrent: int = param(1, low=1, high=100_000, searchable=False, help="trials at a time")
    finalists: int = param(
        1,
        low=1,
        high=1000,
        searchable=False,
        help="best trials that are finished: certified and reported; with several objectives of "
        "the front",
    )
    retries: int = param(
        2,
        low=0,
        high=100,
        searchable=False,
        help="attempts after a first one whose worker died, before the trial counts as failed",
    )
    seed: int = param(0, low=0, searchable=False, help="seed of the sampler and the scheduler")
    address: str = param(
        "local",
        searchable=False,
        help="Ray cluster: auto, host:port, ray://host:port, or local to start one here",
    )
    cpus: float = param(1.0, low=0.0, searchable=False, help="CPUs of a trial; its threads")
    gpus: float = param(
        0.0, low=0.0, high=64.0, searchable=False, help="GPUs of a trial, or parts of one"
    )
    memory_mb: float | None = param(
        None, low=1.0, searchable=False, help="memory that Ray sets aside for a trial (10^6 bytes)"
    )


@dataclass(frozen=True)
class SweepSection:
    """Parameters by key path, objectives, limits and settings (see `SweepSettings`).

    A key path is one that `--set` takes. Objectives and limits are on the best candidate that a
    trial finds: metrics on the validation split, costs, and `seconds`.
    """

    parameters: Mapping[str, SearchRange]
    maximize: tuple[str, ...]
    minimize: tuple[str, ...]
    limits: tuple[Limit, ...]
    sampler: PluginUse
    scheduler: Scheduler
    budget: Budget | None
    trials: int
    concurrent: int
    finalists: int
    retries: int
    seed: int
    address: str
    cpus: float
    gpus: float
    memory_mb: float | None

    def plain(self) -> dict[str, Any]:
        """As it is written in a run file."""
        parts: dict[str, Any] = {
            "parameters": {path: found.plain() for path, found in self.parameters.items()},
            "maximize": list(self.maximize),
            "minimize": list(self.minimize),
            "limits": _written_limits(self.limits),
            "sampler": {self.sampler.name: dict(self.sampler.fixed)},
            "scheduler": self.scheduler.plain(),
        }
        if self.budget is not None:
            parts["budget"] = asdict(self.budget)
        return {**parts, **{p.name: getattr(self, p.name) for p in declared(SweepSettings)}}


def _written_limits(limits: Sequence[Limit]) -> dict[str, list[str]]:
    names = dict.fromkeys(limit.cost for limit in limits)
    return {name: [one.text for one in limits if one.cost == name] for name in names}


def read_sweep(
    spot: Spot, setting: Setting, metrics: Sequence[Metric] | None, root: Node
) -> SweepSection:
    """The section of the run file whose tree is `root`.

    Raises ConfigError for what is missing, unknown or contradicts itself; whether the run file
    takes the values is for `refuse_unfit`.
    """
    params = declared(SweepSettings)
    given = spot.entries((*_KEYS, *(p.name for p in params)))
    ours = {key: inner for key, inner in given.items() if key not in _KEYS}
    fixed = Setting(setting.plugins, setting.folder, unsearchable="a sweep's settings are fixed")
    settings = read_values(spot, ours, params, fixed)
    parameters = read_parameters(given.get("parameters", spot), "parameters" in given, root)
    maximize = read_objectives(given.get("maximize"), ())
    minimize = read_objectives(given.get("minimize"), maximize)
    if not maximize and not minimize:
        raise spot.error("expected at least one objective, for example maximize: accuracy")
    default = spot.under("sampler", Scalar(spot.node.mark, DEFAULT_SAMPLER))
    scheduler = read_scheduler(given.get("scheduler"), fixed)
    budget = read_budget(given["budget"], parameters, root) if _is_given("budget", given) else None
    refuse_without_budget(spot, scheduler, budget)
    return SweepSection(
        parameters=parameters,
        maximize=maximize,
        minimize=minimize,
        limits=_limits(given["limits"], metrics) if "limits" in given else (),
        sampler=read_use(given.get("sampler", default), "sampler", fixed),
        scheduler=scheduler,
        budget=budget,
        **settings.fixed,
    )


def _limits(spot: Spot, metrics: Sequence[Metric] | None) -> tuple[Limit, ...]:
    seconds = Metric(SECONDS, "lower")
    found = read_limits(spot, None if metrics is None else (*metrics, seconds))
    for limit in found:
        if limit.relative:
            raise spot.error(
                f"{limit.cost}: expected an absolute bound, got {limit.text}; a trial's own limits "
                "(search.limits) may be a percentage of its teacher's"
            )
    return found


def _is_given(key: str, given: Mapping[str, Spot]) -> bool:
    """Whether a key holds anything; `--set sweep.budget=null` clears it."""
    node = given[key].node if key in given else None
    return node is not None and not (isinstance(node, Scalar) and node.value is None)
