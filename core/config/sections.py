"""The sections of a run file, each from its nodes to its record."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from stillhouse.core.config.limits import read_limits
from stillhouse.core.config.nodes import Items, Node, Scalar, Spot, shown
from stillhouse.core.config.records import (
    PluginUse,
    SearchSection,
    TargetSection,
    TeacherSection,
)
from stillhouse.core.config.settings import (
    ExecuteSection,
    SearchSettings,
    TargetSettings,
    TrainSection,
)
from stillhouse.core.config.teacher import StudentView, TeacherTraining
from stillhouse.core.config.uses import read_flat, read_use
from stillhouse.core.config.values import Setting, path_value, read_values
from stillhouse.core.cost.names import is_cost
from stillhouse.core.plugin.beside import FILE_NAME, PATTERN
from stillhouse.core.plugin.metrics import Metric
from stillhouse.core.plugin.params import declared

BATCH: Final = 10
DEFAULT_SAMPLER: Final = "auto"
SEARCH_KEYS: Final = ("maximize", "minimize", "limits", "sampler")
_METRIC: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
_RUN_NAME: Final = re.compile(r"\w[\w.-]{0,99}")


def plugin_file(spot: Spot) -> str:
    """The name of a file of plugins in the run file's own folder; it is not looked at."""
    name = spot.node.value if isinstance(spot.node, Scalar) else None
    if not (isinstance(name, str) and re.fullmatch(PATTERN, name)):
        raise spot.error(
            f"expected the name of a Python file beside the run file, such as {FILE_NAME}: "
            f"letters, digits and _ before .py, and no folder; got {shown(spot.node)}"
        )
    return name


def read_plugins(spot: Spot, setting: Setting) -> str:
    """The file of plugins. Raises ConfigError where its code is not what was named to be run."""
    path = setting.folder / plugin_file(spot)
    if not setting.plugins.runs(path):
        raise spot.error(
            f"'{path.name}' is code, and runs only where you name it: read it, then add --plugins "
            f"{path}; a run goes on with the file that it began with, byte for byte"
        )
    return path.name


def read_teacher(spot: Spot, setting: Setting) -> TeacherSection:
    model, training = read_flat(spot, "model", "model", TeacherTraining, setting)
    return TeacherSection(model, TeacherTraining(**training))


def read_student(spot: Spot, setting: Setting) -> tuple[PluginUse, tuple[int, ...]]:
    """The student's model family with the parameters of its full network, and what it sees."""
    model, view = read_flat(spot, "model", "model", StudentView, setting)
    return model, StudentView(**view).channels


def read_target(spot: Spot, setting: Setting) -> TargetSection:
    runtime, settings = read_flat(spot, "runtime", "target", TargetSettings, setting)
    return TargetSection(runtime, **settings)


def read_train(spot: Spot, setting: Setting) -> TrainSection:
    params = declared(TrainSection)
    given = spot.entries(tuple(p.name for p in params))
    fixed = _engine(setting, "training settings are")
    return TrainSection(**read_values(spot, given, params, fixed).fixed)


def read_execute(spot: Spot, setting: Setting) -> ExecuteSection:
    """Where evaluations run, its kind settled."""
    params = declared(ExecuteSection)
    given = spot.entries(tuple(p.name for p in params))
    fixed = dict(read_values(spot, given, params, _engine(setting, "workers are")).fixed)
    kind = fixed["kind"] or ("processes" if fixed["workers"] > 1 else "inline")
    if kind == "inline" and fixed["workers"] > 1:
        raise given["workers"].error(
            f"expected 1 with kind: inline, which is this process alone, got {fixed['workers']}; "
            "use kind: processes, or ray"
        )
    if kind == "ray" and "workers" not in given:
        raise spot.error("expected how many workers a Ray cluster is asked for (workers: 8)")
    _refuse_unheeded(kind, fixed, given)
    store = fixed["store"]
    if store is not None and "://" not in store:
        fixed["store"] = path_value(given["store"], store, setting)
    return ExecuteSection(**{**fixed, "kind": kind})


_POOLS_ONLY: Final = ("timeout_s", "memory_mb")
_RAY_ONLY: Final = ("address", "cpus", "gpus", "placement")


def _refuse_unheeded(kind: str, fixed: Mapping[str, Any], given: Mapping[str, Spot]) -> None:
    """A setting that this kind of workers cannot heed is an error, unless it is the default."""
    heeded = {"inline": (), "processes": _POOLS_ONLY, "ray": (*_POOLS_ONLY, *_RAY_ONLY)}[kind]
    default = ExecuteSection()
    for name in (*_POOLS_ONLY, *_RAY_ONLY):
        if name not in heeded and fixed[name] != getattr(default, name):
            needs = "ray" if name in _RAY_ONLY else "processes (workers: 1 will do) or ray"
            raise given[name].error(f"kind: {kind} cannot heed it; it needs kind: {needs}")


def settled(search: SearchSection, execute: ExecuteSection) -> SearchSection:
    """The search with its batches settled: how large, and how many are proposed ahead."""
    alone = execute.kind == "inline"
    batch = search.batch or (BATCH if alone else batch_for(execute.workers))
    ahead = 0 if alone else ahead_for(execute.workers, batch)
    return replace(search, batch=batch, ahead=ahead if search.ahead is None else search.ahead)


def batch_for(workers: int) -> int:
    """Small, so that the sampler knows as much as it can when it proposes."""
    return max(1, workers // 8)


def ahead_for(workers: int, batch: int) -> int:
    """Batches ahead that keep workers busy where evaluations differ by a third.

    Two jobs a worker for some workers, two and a half for a thousand: the more there are, the
    later is the last of those that all others would wait for (decision 39).
    """
    window = workers * (1.6 + math.log2(workers) / 10)
    return max(1, math.ceil(window / batch) - 1)


def read_search(
    spot: Spot, setting: Setting, metrics: Sequence[Metric] | None = ()
) -> SearchSection:
    """The search section; `metrics` are what the task measures, None when that is not known."""
    params = declared(SearchSettings)
    given = spot.entries((*SEARCH_KEYS, *(p.name for p in params)))
    ladder = _ladder(given.get("fidelity"))
    plain = {key: v for key, v in given.items() if key != "fidelity" or ladder is None}
    settings = read_values(spot, plain, params, _engine(setting, "the search's own settings are"))
    maximize = read_objectives(given.get("maximize"), ())
    minimize = read_objectives(given.get("minimize"), maximize)
    if not maximize and not minimize:
        raise spot.error("expected at least one objective, for example maximize: accuracy")
    default = spot.under("sampler", Scalar(spot.node.mark, DEFAULT_SAMPLER))
    sampler = read_use(given.get("sampler", default), "sampler", setting)
    limits = read_limits(given["limits"], metrics) if "limits" in given else ()
    fixed = {**settings.fixed, **({} if ladder is None else {"fidelity": ladder})}
    return SearchSection(maximize, minimize, limits, sampler, **fixed)


def _ladder(spot: Spot | None) -> float | tuple[float, ...] | None:
    """The rungs of a list, or the one number it holds; None where there is no list."""
    if spot is None or not isinstance(spot.node, Items):
        return None
    if not spot.node.items:
        raise spot.error("expected a share of the budget or a list of rising ones, got []")
    rungs: list[float] = []
    for i, node in enumerate(spot.node.items):
        rungs.append(_rung(spot.under(str(i), node), rungs))
    return tuple(rungs) if len(rungs) > 1 else rungs[0]


def _rung(spot: Spot, below: Sequence[float]) -> float:
    value = spot.node.value if isinstance(spot.node, Scalar) else None
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    share = float(value) if number and isinstance(value, (int, float)) else -1.0
    if 0 <= share <= 1 and (not below or share > below[-1]):
        return share
    least = f"above {below[-1]:g} (rungs rise)" if below else "at least 0"
    fact = f"expected a share of the full budget, {least} and at most 1"
    raise spot.error(f"{fact}, got {shown(spot.node)}")


def _engine(setting: Setting, what: str) -> Setting:
    return replace(setting, unsearchable=f"{what} not searched")


def read_objectives(spot: Spot | None, taken: tuple[str, ...]) -> tuple[str, ...]:
    """Names of what is optimised, each once and none of `taken`."""
    if spot is None:
        return ()
    nodes: tuple[Node, ...] = spot.node.items if isinstance(spot.node, Items) else (spot.node,)
    found: list[str] = []
    for i, node in enumerate(nodes):
        inner = spot.under(str(i), node) if isinstance(spot.node, Items) else spot
        name = node.value if isinstance(node, Scalar) else None
        if not isinstance(name, str) or not (_METRIC.fullmatch(name) or is_cost(name)):
            raise inner.error(f"expected a metric's name such as accuracy, got {shown(node)}")
        if name in (*found, *taken):
            raise inner.error(f"the objective '{name}' is given twice")
        found.append(name)
    return tuple(found)


def read_flag(spot: Spot) -> bool:
    if isinstance(spot.node, Scalar) and isinstance(spot.node.value, bool):
        return spot.node.value
    raise spot.error(f"expected true or false, got {shown(spot.node)}")


def read_name(spot: Spot) -> str:
    """A run's name: it also names its folder, so it has no separators."""
    value = spot.node.value if isinstance(spot.node, Scalar) else None
    if isinstance(value, str) and _RUN_NAME.fullmatch(value):
        return value
    allowed = "a name of letters, digits, '_', '-' and '.'"
    raise spot.error(f"expected {allowed} (at most 100), got {shown(spot.node)}")


def name_from(stem: str) -> str:
    """A valid run name from a file's stem."""
    word = re.sub(r"[^\w.-]+", "-", stem).lstrip("-.")[:100]
    return word or "run"
