"""A JSON Schema of run files for editors, from the same declarations that check them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeAlias

from stillhouse.core.config.records import Plugins
from stillhouse.core.config.runfile import REQUIRED
from stillhouse.core.config.scheduling import SCHEDULERS
from stillhouse.core.config.settings import (
    ExecuteSection,
    SearchSettings,
    TargetSettings,
    TrainSection,
)
from stillhouse.core.config.sweep import SECONDS, SweepSettings
from stillhouse.core.config.teacher import (
    NetworkTraining,
    StudentView,
    TeacherTraining,
    engine_keys,
)
from stillhouse.core.config.values import AUTO
from stillhouse.core.config.weights import MOST_WEIGHTS
from stillhouse.core.cost.limits import COST_NAMES
from stillhouse.core.cost.names import LENGTH_PATTERN, PER_LENGTH
from stillhouse.core.errors import StillhouseError
from stillhouse.core.plugin.beside import PATTERN
from stillhouse.core.plugin.kinds import RecordKind
from stillhouse.core.plugin.params import Param, Params, declared
from stillhouse.core.plugin.records import TaskInfo

Schema: TypeAlias = dict[str, Any]

_TYPES: Final[Mapping[str, str]] = {
    "bool": "boolean", "int": "integer", "float": "number", "str": "string",
    "path": "string", "space": "string", "list": "array",
    "loss": "string", "similarity": "string", "taps": "array", "channels": "array",
    "models": "array", "paths": "array", "simplex": "array",
}  # fmt: skip
_FIXED: Final = ("space", "path", "paths", "models")
_END: Final = r"[-+]?([0-9]+(\.[0-9]+|\.(?!\.))?|\.[0-9]+)([eE][-+]?[0-9]+)?\s*%?"
_NAME: Final = r"[A-Za-z_][\w.-]*(@[0-9]+)?"
_BOUND: Final = (
    rf"^\s*((({_NAME}\s*)?(<=|>=))?\s*{_END}|{_END}\s*\.\.\s*{_END}"
    rf"|{_END}\s*(<=\s*{_NAME}\s*<=|>=\s*{_NAME}\s*>=)\s*{_END})\s*$"
)
_PATH: Final = r"^[A-Za-z_][\w.-]*$"
_AT_LENGTH: Final = rf"({'|'.join(PER_LENGTH)}){LENGTH_PATTERN}"
_METRIC: Final = rf"^([a-z][a-z0-9_]{{0,63}}|{_AT_LENGTH})$"


def json_schema(catalogue: Plugins) -> Schema:
    """JSON Schema (draft 2020-12) of run files with every installed plugin's parameters.

    A plugin that fails to describe itself accepts any parameters, with its error as description.
    """
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "stillhouse run file",
        **_object(
            {
                "name": {"type": "string", "pattern": r"^[^\s/\\.-][^\s/\\]{0,99}$"},
                "plugins": {
                    "type": "string",
                    "pattern": f"^{PATTERN}$",
                    "description": "code beside the run file with plugins that are not installed",
                },
                "task": _use(catalogue, "task"),
                "teacher": _flat(catalogue, "model", "model", TeacherTraining),
                "student": _flat(catalogue, "model", "model", StudentView),
                "recipe": {"type": "array", "minItems": 1, "items": _use(catalogue, "method")},
                "search": _search(catalogue),
                "target": _flat(catalogue, "runtime", "target", TargetSettings),
                "baselines": {"type": "boolean", "description": "train the control networks"},
                "train": _params(catalogue, declared(TrainSection)),
                "execute": _params(catalogue, declared(ExecuteSection)),
                "sweep": _sweep(catalogue),
            },
            REQUIRED,
        ),
    }


def _object(properties: Mapping[str, Any], required: Iterable[str] = ()) -> Schema:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(required),
        "additionalProperties": False,
    }


def _use(catalogue: Plugins, kind: RecordKind) -> Schema:
    """A plugin by its name, or one name with its parameters."""
    options: list[Schema] = []
    for name in catalogue.names(kind):
        params, about = _described(catalogue, kind, name)
        if params is None:
            inner: Schema = {"description": about}
        else:
            inner = _nullable(_params(catalogue, params, searchable=kind == "method"), params)
        if params is None or not any(p.required for p in params):
            options.append({"const": name, "description": about})
        options.append({**_object({name: inner}, [name]), "description": about})
    return {"anyOf": options} if options else {"not": {}}


def _nullable(schema: Schema, params: tuple[Param, ...]) -> Schema:
    if any(p.required for p in params):
        return schema
    return {**schema, "type": ["object", "null"]}


def _flat(catalogue: Plugins, key: str, kind: RecordKind, engine: type[Params]) -> Schema:
    """A section that names a plugin under `key` beside its parameters and the engine's."""
    options: list[Schema] = []
    for name in catalogue.names(kind):
        params, about = _described(catalogue, kind, name)
        own = params or ()
        known = _params(catalogue, (*own, *engine_keys(engine, [p.name for p in own])))
        known["properties"] = {key: {"const": name}, **known["properties"]}
        known["required"] = [key, *known["required"]]
        known["additionalProperties"] = params is None
        options.append({**known, "description": about})
    return {"anyOf": options} if options else {"not": {}}


def _described(
    catalogue: Plugins, kind: RecordKind, name: str
) -> tuple[tuple[Param, ...] | None, str]:
    try:
        record = catalogue.record(kind, name)
    except StillhouseError as error:
        return None, str(error)
    return declared(record.params), record.summary


def _params(catalogue: Plugins, params: tuple[Param, ...], *, searchable: bool = False) -> Schema:
    properties = {p.name: _param(catalogue, p, searchable=searchable) for p in params}
    return _object(properties, [p.name for p in params if p.required])


def _param(catalogue: Plugins, param: Param, *, searchable: bool) -> Schema:
    fixed = _fixed(catalogue, param)
    options = [fixed]
    if param.default is None and not param.required:
        options.append({"type": "null"})
    if searchable and param.searchable and param.kind not in _FIXED:
        options += _searched(param, fixed)
    schema: Schema = {"anyOf": options} if len(options) > 1 else dict(fixed)
    schema["description"] = param.help
    if not param.required:
        schema["default"] = param.default
    return schema


def _fixed(catalogue: Plugins, param: Param) -> Schema:
    if param.kind == "space":
        return {"enum": [AUTO, *catalogue.names("space")]}
    if param.choices:
        return {"enum": list(param.choices)}
    if param.kind == "loss":
        return {"enum": list(catalogue.names("loss"))}
    schema: Schema = {"type": _TYPES[param.kind]}
    if param.kind == "models":
        schema["items"] = _flat(catalogue, "model", "model", NetworkTraining)
    if param.kind == "paths":
        schema["items"] = {"type": "string", "pattern": r"\S"}
    if param.kind == "simplex":
        schema["items"] = {"type": "number", "minimum": 0}
    if param.kind in ("taps", "channels"):
        schema["items"] = {"type": "integer", "minimum": 0}
        if param.kind == "channels":
            schema["uniqueItems"] = True
    if param.low is not None:
        schema["minimum"] = param.low
    if param.high is not None:
        schema["maximum"] = param.high
    return schema


def _searched(param: Param, fixed: Schema) -> list[Schema]:
    if param.kind == "taps":
        whole = {"type": "integer", "minimum": 1}
        return [_object({"taps": whole, "of": whole}, ("taps", "of"))]
    if param.kind == "simplex":
        count = {"type": "integer", "minimum": 2, "maximum": MOST_WEIGHTS}
        return [_object({"simplex": count}, ("simplex",))]
    choices = {"choices": {"type": "array", "items": fixed, "minItems": 1, "uniqueItems": True}}
    options = [_object(choices, choices)]
    if param.kind in ("int", "float") and not param.choices:
        ends = {"low": fixed, "high": fixed, "log": {"type": "boolean", "default": param.log}}
        options.append(_object(ends, ("low", "high")))
    return options


def _search(catalogue: Plugins) -> Schema:
    metric = {"type": "string", "pattern": _METRIC}
    metrics = {"anyOf": [metric, {"type": "array", "items": metric, "uniqueItems": True}]}
    settings = _params(catalogue, declared(SearchSettings))
    settings["properties"]["fidelity"] = _ladder(settings["properties"]["fidelity"])
    settings["properties"] = {
        "maximize": metrics,
        "minimize": metrics,
        "limits": _limits(catalogue),
        "sampler": _use(catalogue, "sampler"),
        **settings["properties"],
    }
    settings["anyOf"] = [{"required": ["maximize"]}, {"required": ["minimize"]}]
    return settings


def _sweep(catalogue: Plugins) -> Schema:
    """Swept parameters under any key path; what it takes there is for the reader to check."""
    plain = {"type": ["string", "number", "boolean"]}
    number = {"type": "number"}
    choices = {"type": "array", "items": plain, "minItems": 1, "uniqueItems": True}
    ends = {"low": number, "high": number, "log": {"type": "boolean", "default": False}}
    ranges = [_object({"choices": choices}, ("choices",)), _object(ends, ("low", "high"))]
    rungs = {"type": "array", "items": number, "minItems": 2, "uniqueItems": True}
    budget = _object({"parameter": {"type": "string"}, "rungs": rungs}, ("parameter", "rungs"))
    parameters = {**_object({}), "patternProperties": {_PATH: {"anyOf": ranges}}}
    schedulers: list[Schema] = [{"enum": list(SCHEDULERS)}]
    for name, settings in SCHEDULERS.items():
        own = _params(catalogue, declared(settings))
        schedulers.append(_object({name: own}, (name,)))
    search = _search(catalogue)["properties"]
    limits = search["limits"]
    whole = _params(catalogue, declared(SweepSettings))
    whole["properties"] = {
        "parameters": {**parameters, "description": "what varies, by the key paths of --set"},
        "maximize": search["maximize"],
        "minimize": search["minimize"],
        "limits": {
            **limits, "properties": {**limits["properties"], SECONDS: limits["properties"]["macs"]},
        },
        "sampler": search["sampler"],
        "scheduler": {"anyOf": schedulers, "description": "which trials go on; none: all"},
        "budget": {"anyOf": [budget, {"type": "null"}], "description": "what it rations"},
        **whole["properties"],
    }  # fmt: skip
    whole["required"] = ["parameters"]
    whole["anyOf"] = [{"required": ["maximize"]}, {"required": ["minimize"]}]
    return whole


def _limits(catalogue: Plugins) -> Schema:
    """Bounds on known costs and on whatever an installed task measures."""
    one = [{"type": "number"}, {"type": "string", "pattern": _BOUND}]
    bounds = {
        "anyOf": [*one, {"type": "array", "items": {"anyOf": one}, "minItems": 1}],
        "description": 'a number, "<= n", ">= n", "low .. high", or a list of these; '
        "a percentage is of what the teacher has",
    }
    tasks = [_metrics(catalogue, name) for name in catalogue.names("task")]
    names = [name for known in tasks for name in known or ()]
    schema = _object(dict.fromkeys((*COST_NAMES, *names), bounds))
    schema["patternProperties"] = {f"^{_AT_LENGTH}$": bounds}
    return {**schema, "additionalProperties": bounds} if None in tasks else schema


def _metrics(catalogue: Plugins, task: str) -> tuple[str, ...] | None:
    """Names of what a task measures; None when only its code tells."""
    try:
        record = catalogue.record("task", task)
    except StillhouseError:
        return None
    if not isinstance(record, TaskInfo):
        return ()
    return tuple(metric.name for metric in record.metrics) or None


def _ladder(share: Schema) -> Schema:
    """One share of the budget, or a list of them."""
    one = {key: share[key] for key in ("type", "minimum", "maximum")}
    rest = {key: value for key, value in share.items() if key not in one}
    rungs = {"type": "array", "items": one, "minItems": 1, "uniqueItems": True}
    return {"anyOf": [one, rungs], **rest}
