"""A commented run file to start from, its comments taken from the declarations."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping
from importlib.resources import files
from string import Template
from typing import Any, Final

from stillhouse.core.config.records import Plugins
from stillhouse.core.config.runfile import parse
from stillhouse.core.config.sections import DEFAULT_SAMPLER
from stillhouse.core.config.settings import (
    ExecuteSection,
    SearchSettings,
    TargetSettings,
    TrainSection,
)
from stillhouse.core.config.teacher import TeacherTraining
from stillhouse.core.config.written import inline
from stillhouse.core.cost.limits import COST_NAMES
from stillhouse.core.errors import ConfigError, UserError, nearest
from stillhouse.core.plugin.kinds import KINDS
from stillhouse.core.plugin.params import Param, Params, declared

_SLOT: Final = re.compile(r"(?P<indent> *)#: (?P<what>[a-z]+)(?: (?P<name>[a-z][a-z0-9-]*))?")
_GIVEN: Final = re.compile(r" +(?:- )?([a-z_]+):")
_WIDEST: Final = 100
_ENGINE: Final[Mapping[str, type[Params]]] = {
    "training": TeacherTraining,
    "search": SearchSettings,
    "profile": TargetSettings,
    "train": TrainSection,
    "execute": ExecuteSection,
}


def sample(catalogue: Plugins, task: str, file_name: str) -> str:
    """The text of a run file for a task; it parses as it stands.

    Required parameters hold examples to be replaced. Raises UserError for an unknown task, or
    when a plugin the sample is made of is not available.
    """
    known = catalogue.names("task")
    if task not in known:
        close = nearest(task, known) or f"; known: {', '.join(known) or 'none'}"
        raise UserError(f"unknown task '{task}'{close} (stillhouse plugins)")
    costs = "\n  # ".join(textwrap.wrap(", ".join(COST_NAMES), _WIDEST - len("  # Costs: .")))
    words = {"file": file_name, "costs": costs, "sampler": DEFAULT_SAMPLER}
    text = Template(_template()).substitute(words)
    text = "\n".join(_filled(text.splitlines(), catalogue, task)) + "\n"
    try:
        parse(text, file_name, catalogue)
    except ConfigError as error:
        raise UserError(f"the sample run file needs plugins that are missing: {error}") from None
    return text


def _template() -> str:
    return files("stillhouse.core.config").joinpath("template.yaml").read_text(encoding="utf-8")


def _filled(lines: list[str], catalogue: Plugins, task: str) -> Iterator[str]:
    """The template's lines with every slot (`#: ...`) replaced by settings."""
    above: set[str] = set()
    for line in lines:
        slot = _SLOT.fullmatch(line)
        if slot is not None:
            yield from _slot(slot, catalogue, task, above)
            continue
        if not line.startswith(" ") or line.lstrip().startswith("- "):
            above = set()
        above = above | set(_GIVEN.findall(line))
        yield line


def _slot(slot: re.Match[str], catalogue: Plugins, task: str, above: set[str]) -> Iterator[str]:
    what, name, indent = slot["what"], slot["name"], slot["indent"]
    if what == "task":
        yield from _task(catalogue, task)
    elif what in _ENGINE:
        for param in declared(_ENGINE[what]):
            yield _line(indent, param, param.default, live=param.default is not None)
    else:
        yield from _plugin(catalogue, what, name, indent, above)


def _task(catalogue: Plugins, task: str) -> Iterator[str]:
    params = declared(catalogue.record("task", task).params)
    yield f"task:\n  {task}:" if params else f"task: {task}"
    yield from _plugin(catalogue, "task", task, "    ", set())


def _plugin(
    catalogue: Plugins, what: str, name: str, indent: str, above: set[str]
) -> Iterator[str]:
    kind = next(kind for kind in KINDS if kind == what)
    if name not in catalogue.names(kind):
        raise UserError(f"the sample run file needs the {kind} '{name}' (stillhouse plugins)")
    for param in declared(catalogue.record(kind, name).params):
        if param.name not in above:
            value = _example(param, catalogue) if param.required else param.default
            yield _line(indent, param, value, live=param.required)


def _example(param: Param, catalogue: Plugins) -> Any:
    """A value for a required parameter that fits its declaration."""
    if param.choices:
        return param.choices[0]
    if param.kind == "space":
        return next(iter(catalogue.names("space")), "")
    if param.kind in ("int", "float"):
        return param.low if param.low is not None else (param.high or 1)
    path = f"my-{param.name}"
    plain: dict[str, Any] = {
        "bool": True, "list": [], "path": path, "paths": [path], "models": [], "simplex": [1],
    }  # fmt: skip
    return plain.get(param.kind, param.name)


def _line(indent: str, param: Param, value: Any, *, live: bool) -> str:
    """A setting with its help beside it, continued on lines of their own where it is long."""
    bounds = param.bounds()
    about = f"{param.help} ({bounds})" if bounds else param.help
    shown = "" if value is None else f" {inline(value)}"
    start = f"{indent}{'' if live else '# '}{param.name}:{shown}  # "
    more = f"{indent}{' ' if live else '#'}".ljust(len(start) - 2) + "# "
    width = max(_WIDEST, len(start) + 30)
    return textwrap.fill(about, width, initial_indent=start, subsequent_indent=more)
