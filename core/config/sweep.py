"""The `sweep` section: which keys of a run file vary from trial to trial, and what for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from stillhouse.core.config.limits import read_limits
from stillhouse.core.config.nodes import (
    Items,
    Mark,
    Node,
    Scalar,
    Spot,
    Table,
    located,
    shown,
    unknown_word,
)
from stillhouse.core.config.overrides import at_path, put_at
from stillhouse.core.config.records import Limit, PluginUse, SearchRange
from stillhouse.core.config.sections import DEFAULT_SAMPLER, read_objectives
from stillhouse.core.config.uses import read_use
from stillhouse.core.config.values import Setting, read_values
from stillhouse.core.errors import ConfigError, nearest
from stillhouse.core.plugin.metrics import Metric
from stillhouse.core.plugin.params import Params, declared, param

SECONDS: Final = "seconds"
"""What a trial took: an objective and a limit beside metrics and costs."""
_OWN: Final = ("name", "plugins", "sweep", "execute")
_RANGE: Final = ("low", "high", "log", "choices")
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


class AshaSettings(Params):
    """Asynchronous successive halving (Li et al., 2020)."""

    eta: int = param(
        3, low=2, high=100, searchable=False, help="of each rung the best 1/eta go on to the next"
    )


class PbtSettings(Params):
    """Population-based training (Jaderberg et al., 2017)."""

    share: float = param(
        0.25,
        low=0.0,
        high=0.5,
        searchable=False,
        help="of the trials the worst that take over the weights of the best, after each rung",
    )
    resample: float = param(
        0.25,
        low=0.0,
        high=1.0,
        searchable=False,
        help="probability that a parameter is drawn anew then; else it moves to a neighbour",
    )


SCHEDULERS: Final[Mapping[str, type[Params]]] = {
    "none": Params, "asha": AshaSettings, "pbt": PbtSettings,
}  # fmt: skip


@dataclass(frozen=True)
class Scheduler:
    """Which trials go on: `name` out of `SCHEDULERS`, and its settings."""

    name: str = "none"
    settings: Mapping[str, Any] | None = None

    def plain(self) -> Any:
        return {self.name: dict(self.settings)} if self.settings else self.name


@dataclass(frozen=True)
class Budget:
    """What a scheduler rations: a parameter, and the rising values it takes from rung to rung."""

    parameter: str
    rungs: tuple[int | float, ...]


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
    parameters = _parameters(given.get("parameters", spot), "parameters" in given, root)
    maximize = read_objectives(given.get("maximize"), ())
    minimize = read_objectives(given.get("minimize"), maximize)
    if not maximize and not minimize:
        raise spot.error("expected at least one objective, for example maximize: accuracy")
    default = spot.under("sampler", Scalar(spot.node.mark, DEFAULT_SAMPLER))
    scheduler = _scheduler(given.get("scheduler"), fixed)
    budget = _budget(given["budget"], parameters, root) if _is_given("budget", given) else None
    _refuse_without_budget(spot, scheduler, budget)
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


def _parameters(spot: Spot, given: bool, root: Node) -> dict[str, SearchRange]:
    table = spot.table().entries if given else {}
    if not table:
        raise spot.error(
            "expected parameters to sweep over, such as parameters: "
            "{recipe.supernet.learning_rate: {low: 1.0e-4, high: 1.0e-2, log: true}}"
        )
    return {path: _range(path, spot.under(path, node), root) for path, node in table.items()}


def _range(path: str, spot: Spot, root: Node) -> SearchRange:
    _refuse_path(path, spot, root)
    given = spot.entries(_RANGE) if isinstance(spot.node, Table) else {}
    if "choices" in given and len(given) == 1:
        return SearchRange(choices=_choices(given["choices"]))
    if not {"low", "high"} <= given.keys() or "choices" in given:
        expected = "{choices: [...]} or {low: A, high: B, log: true}"
        raise spot.error(f"expected {expected}, got {shown(spot.node)}")
    low, high = (_number(given[end]) for end in ("low", "high"))
    log = given["log"].node if "log" in given else None
    if isinstance(log, Scalar) and not isinstance(log.value, bool):
        raise given["log"].error(f"expected true or false, got {shown(log)}")
    if low >= high:
        raise given["high"].error(f"expected a high above the low of {low:g}, got {high:g}")
    if (rising := isinstance(log, Scalar) and log.value is True) and low <= 0:
        raise given["low"].error(f"expected a low above 0 for a logarithmic range, got {low:g}")
    return SearchRange(low, high, rising)


def _refuse_path(path: str, spot: Spot, root: Node) -> None:
    first = path.partition(".")[0]
    if first in _OWN:
        raise spot.error(f"a sweep cannot vary {first}: it is the same for all trials")
    node = at_path(root, path)
    if isinstance(node, Table) and {"low", "choices", "taps", "simplex"} & node.entries.keys():
        raise spot.error(
            f"the run itself searches this parameter ({node.mark}); give it one value there, or "
            "leave it out of the sweep"
        )


def _choices(spot: Spot) -> tuple[Any, ...]:
    nodes = spot.node.items if isinstance(spot.node, Items) else ()
    if not nodes:
        raise spot.error(f"expected a list of at least one choice, got {shown(spot.node)}")
    found: list[Any] = []
    for i, node in enumerate(nodes):
        value = node.value if isinstance(node, Scalar) else None
        if value is None:
            fact = f"expected text, a number, true or false, got {shown(node)}"
            raise spot.under(str(i), node).error(fact)
        if any(value == other and type(value) is type(other) for other in found):
            raise spot.under(str(i), node).error(f"the choice {shown(node)} is given twice")
        found.append(value)
    return tuple(found)


def _number(spot: Spot) -> int | float:
    value = spot.node.value if isinstance(spot.node, Scalar) else None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or abs(value) > 2**53:
        raise spot.error(f"expected a number, got {shown(spot.node)}")
    return value


def _scheduler(spot: Spot | None, setting: Setting) -> Scheduler:
    if spot is None:
        return Scheduler()
    node = spot.node
    name, inner = (node.value, Spot(Table(node.mark))) if isinstance(node, Scalar) else (None, spot)
    if isinstance(node, Table) and len(node.entries) == 1:
        name = next(iter(node.entries))
        inner = spot.under(str(name), node.entries[str(name)])
    if name not in SCHEDULERS:
        close = nearest(str(name), SCHEDULERS)
        known = ", ".join(SCHEDULERS)
        raise spot.error(f"expected a scheduler ({known}), got {shown(node)}{close}")
    params = declared(SCHEDULERS[str(name)])
    given = inner.entries(tuple(p.name for p in params))
    return Scheduler(str(name), read_values(inner, given, params, setting).fixed or None)


def _budget(spot: Spot, parameters: Mapping[str, SearchRange], root: Node) -> Budget:
    given = spot.entries(("parameter", "rungs"))
    if len(given) < 2:
        raise spot.error(
            f"expected {{parameter: KEY.PATH, rungs: [2, 6, 18]}}, got {shown(spot.node)}"
        )
    node = given["parameter"].node
    path = node.value if isinstance(node, Scalar) else None
    if not isinstance(path, str):
        raise given["parameter"].error(f"expected a key path, got {shown(node)}")
    if path in parameters:
        raise given["parameter"].error(f"{unknown_word(path)} is swept; it cannot be the budget")
    _refuse_path(path, given["parameter"], root)
    rungs = given["rungs"].node
    found = [
        _number(given["rungs"].under(str(i), one))
        for i, one in enumerate(rungs.items if isinstance(rungs, Items) else ())
    ]
    if len(found) < 2 or found != sorted(set(found)):
        fact = "expected at least two rising numbers, such as [2, 6, 18]"
        raise given["rungs"].error(f"{fact}, got {shown(rungs)}")
    return Budget(path, tuple(found))


def _is_given(key: str, given: Mapping[str, Spot]) -> bool:
    """Whether a key holds anything; `--set sweep.budget=null` clears it."""
    node = given[key].node if key in given else None
    return node is not None and not (isinstance(node, Scalar) and node.value is None)


def _refuse_without_budget(spot: Spot, scheduler: Scheduler, budget: Budget | None) -> None:
    if (scheduler.name == "none") == (budget is None):
        return
    if budget is None:
        raise spot.error(
            f"scheduler {scheduler.name} needs to know what it rations: add budget: "
            "{parameter: recipe.supernet.epochs, rungs: [2, 6, 18]}"
        )
    raise spot.error("a budget is for the schedulers asha and pbt; name one, or leave it out")


def refuse_unfit(root: Table, section: SweepSection, read: Callable[[Node], object]) -> None:
    """Read the run file at every end of the sweep's ranges, each choice and each rung.

    `read` gives a run file's record from its tree. Raises ConfigError, with the place of the value
    in the sweep, for one that the run file does not take.
    """
    for path, node, mark in _ends(root, section):
        try:
            read(put_at(without_sweep(root), path, node, mark))
        except ConfigError as error:
            said = str(error)
            if said.startswith(f"{mark.source}:"):
                raise
            raise ConfigError(located(mark, f"sweep.parameters.{path}", said)) from None


def without_sweep(root: Table) -> Table:
    """The run file that a sweep's section stands in."""
    entries = {key: node for key, node in root.entries.items() if key != "sweep"}
    return Table(root.mark, entries, root.marks)


def _ends(root: Table, section: SweepSection) -> Iterator[tuple[str, Node, Mark]]:
    sweep = root.entries["sweep"]
    table = sweep.entries["parameters"] if isinstance(sweep, Table) else None
    for path in section.parameters:
        inner = table.entries[path] if isinstance(table, Table) else None
        if not isinstance(inner, Table):
            continue
        choices = inner.entries.get("choices")
        ends = choices.items if isinstance(choices, Items) else ()
        ends = ends or (inner.entries["low"], inner.entries["high"])
        for node in ends:
            yield path, node, node.mark
    if section.budget is not None and isinstance(sweep, Table):
        mark = sweep.entries["budget"].mark
        for rung in section.budget.rungs:
            yield section.budget.parameter, Scalar(mark, rung), mark
