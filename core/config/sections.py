"""The sections of a run file, each from its nodes to its record."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from stillhouse.core.config.limits import read_limits
from stillhouse.core.config.nodes import Items, Node, Scalar, Spot, shown
from stillhouse.core.config.records import SearchSection, TargetSection, TeacherSection
from stillhouse.core.config.settings import SearchSettings, TargetSettings, TrainSection
from stillhouse.core.config.teacher import TeacherTraining
from stillhouse.core.config.uses import read_flat, read_use
from stillhouse.core.config.values import Setting, read_values
from stillhouse.core.plugin.params import declared

DEFAULT_SAMPLER: Final = "evolution"
SEARCH_KEYS: Final = ("maximize", "minimize", "limits", "sampler")
_METRIC: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
_RUN_NAME: Final = re.compile(r"\w[\w.-]{0,99}")


def read_teacher(spot: Spot, setting: Setting) -> TeacherSection:
    model, training = read_flat(spot, "model", "model", TeacherTraining, setting)
    return TeacherSection(model, TeacherTraining(**training))


def read_target(spot: Spot, setting: Setting) -> TargetSection:
    runtime, settings = read_flat(spot, "runtime", "target", TargetSettings, setting)
    return TargetSection(runtime, **settings)


def read_train(spot: Spot, setting: Setting) -> TrainSection:
    params = declared(TrainSection)
    given = spot.entries(tuple(p.name for p in params))
    fixed = _engine(setting, "training settings are")
    return TrainSection(**read_values(spot, given, params, fixed).fixed)


def read_search(spot: Spot, setting: Setting) -> SearchSection:
    params = declared(SearchSettings)
    given = spot.entries((*SEARCH_KEYS, *(p.name for p in params)))
    settings = read_values(spot, given, params, _engine(setting, "the search's own settings are"))
    maximize = _objectives(given.get("maximize"), ())
    minimize = _objectives(given.get("minimize"), maximize)
    if not maximize and not minimize:
        raise spot.error("expected at least one objective, for example maximize: accuracy")
    default = spot.under("sampler", Scalar(spot.node.mark, DEFAULT_SAMPLER))
    sampler = read_use(given.get("sampler", default), "sampler", setting)
    limits = read_limits(given["limits"]) if "limits" in given else ()
    return SearchSection(maximize, minimize, limits, sampler, **settings.fixed)


def _engine(setting: Setting, what: str) -> Setting:
    return replace(setting, unsearchable=f"{what} not searched")


def _objectives(spot: Spot | None, taken: tuple[str, ...]) -> tuple[str, ...]:
    if spot is None:
        return ()
    nodes: tuple[Node, ...] = spot.node.items if isinstance(spot.node, Items) else (spot.node,)
    found: list[str] = []
    for i, node in enumerate(nodes):
        inner = spot.under(str(i), node) if isinstance(spot.node, Items) else spot
        name = node.value if isinstance(node, Scalar) else None
        if not isinstance(name, str) or not _METRIC.fullmatch(name):
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
