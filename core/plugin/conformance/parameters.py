"""Parameters are declared, plain, and come back from a run file as they went in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from stillhouse.core.config.runfile import RunFile, parse
from stillhouse.core.config.written import dump
from stillhouse.core.plugin.catalogue import Catalogue
from stillhouse.core.plugin.conformance.check import Setup, unmet
from stillhouse.core.plugin.conformance.runs import run_text
from stillhouse.core.plugin.kinds import RecordKind
from stillhouse.core.plugin.params import Param, declared
from stillhouse.core.plugin.records import Record

_SOURCE = "conformance.yaml"


def check_parameters(kind: RecordKind, record: Record, setup: Setup, catalogue: Catalogue) -> None:
    """Defaults are plain data; a run file with all of them reads as it was written."""
    for param in declared(record.params):
        _check_plain(param)
    if not (text := run_text(kind, record.name, setup, catalogue)):
        return
    run = parse(text, _SOURCE, catalogue)
    again = parse(run.to_yaml(), _SOURCE, catalogue)
    if run != again:
        unmet(
            "a run file to read as it was written", _difference(run, again),
            "use values that YAML has: numbers, text, true and false, lists",
        )  # fmt: skip
    if kind == "method":
        for param in declared(record.params):
            _check_range(param, record.name, setup, catalogue)


def _check_plain(param: Param) -> None:
    if not param.help.strip():
        unmet(f"help for parameter '{param.name}'", "none", "say in a phrase what it does")
    if param.required:
        return
    try:
        back = json.loads(json.dumps(param.default))
    except (TypeError, ValueError):
        back = ...
    plain = list(param.default) if isinstance(param.default, tuple) else param.default
    if back != plain:
        unmet(
            f"a plain default of parameter '{param.name}'", repr(param.default),
            "use a number, text, true or false, None, or a tuple of them",
        )  # fmt: skip


def _check_range(param: Param, name: str, setup: Setup, catalogue: Catalogue) -> None:
    """What is declared as searchable can be searched between its own bounds."""
    searched = _range(param)
    if searched is None:
        return
    given = {**setup.params, param.name: searched}
    text = run_text("method", name, Setup(**{**vars(setup), "params": given}), catalogue)
    run = parse(text, _SOURCE, catalogue)
    use = next(use for use in run.recipe if use.name == name)
    if param.name not in use.searched:
        unmet(f"'{param.name}' to be searched over {dump(searched)}", "a fixed value", "file a bug")


def _range(param: Param) -> Mapping[str, Any] | None:
    if not param.searchable or param.kind not in ("int", "float", "str", "bool"):
        return None
    if param.choices:
        return {"choices": list(param.choices)}
    if param.low is None or param.high is None or (param.log and param.low <= 0):
        return None
    whole = param.kind == "int"
    low, high = (int(b) if whole else float(b) for b in (param.low, param.high))
    return {"low": low, "high": high, **({"log": True} if param.log else {})}


def _difference(run: RunFile, again: RunFile) -> str:
    ours, theirs = run.to_yaml().splitlines(), again.to_yaml().splitlines()
    lines = (f"{a!r} then {b!r}" for a, b in zip(ours, theirs, strict=False) if a != b)
    return next(lines, f"{run} then {again}")
