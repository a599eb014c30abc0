"""Setups written down: `[tool.stillhouse.check.NAME]` in a project's `pyproject.toml`.

    [tool.stillhouse.check.factored-feed-forward]
    params = {rank = 2}
    model_params = {width = 16, depth = 2, heads = 2}

The keys are the fields of `Setup`. The command line and a package's own tests read the same.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, Final

from stillhouse.core import plain_json
from stillhouse.core.errors import UserError, nearest
from stillhouse.core.plugin.conformance.check import Setup

_LARGEST: Final = 1_000_000
_TABLE: Final = "tool.stillhouse.check"


def setups_in(path: Path) -> dict[str, Setup]:
    """The setups of a TOML file by the plugins' names; none where it has no such table.

    Raises UserError for a file that cannot be read, and for keys and values no setup has.
    """
    table: Any = project_in(path)
    for key in _TABLE.split("."):
        table = table.get(key, {}) if isinstance(table, Mapping) else {}
    return {name: _setup(f"{path}: {_TABLE}.{name}", given) for name, given in table.items()}


def project_in(path: Path) -> dict[str, Any]:
    """A whole `pyproject.toml`. Raises UserError for one that cannot be read."""
    try:
        return tomllib.loads(plain_json.content(path, _LARGEST).decode())
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: expected a TOML file: {error}") from None


def _setup(where: str, given: Any) -> Setup:
    if not isinstance(given, Mapping):
        raise UserError(f"{where}: expected a table such as {{params = {{...}}}}, got {given!r}")
    known = {field.name: field for field in fields(Setup)}
    for key, value in given.items():
        if key not in known:
            hint = nearest(key, known) or f"; known keys: {', '.join(known)}"
            raise UserError(f"{where}.{key}: unknown key{hint}")
        kind = _TYPES[key]
        if not isinstance(value, kind) or isinstance(value, bool):
            raise UserError(f"{where}.{key}: expected {_WORDS[kind]}, got {value!r}")
    values: dict[str, Any] = {**given}
    if "shape" in values:
        values["shape"] = tuple(values["shape"])
    return Setup(**values)


_TYPES: Final[Mapping[str, type]] = {
    field.name: dict if field.default_factory is not MISSING
    else list if field.default is None or isinstance(field.default, tuple)
    else type(field.default)
    for field in fields(Setup)
}  # fmt: skip
_WORDS: Final[Mapping[type, str]] = {
    dict: "a table", list: "a list", str: "text", int: "a whole number",
}  # fmt: skip
