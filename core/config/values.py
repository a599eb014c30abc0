"""A parameter's value in a run file: fixed, or searched where a declaration allows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from stillhouse.core.config.nodes import Items, Scalar, Spot, Table, plain, shown, unknown_word
from stillhouse.core.config.records import Plugins, SearchRange
from stillhouse.core.config.weights import normalised, searched_weights
from stillhouse.core.errors import nearest
from stillhouse.core.plugin.kinds import RecordKind
from stillhouse.core.plugin.params import EXPECTED, Param

AUTO: Final = "auto"
"""The search space that the student's own family offers."""
_RANGE_KEYS = ("low", "high", "log", "choices")
_NAMED: Final[Mapping[str, RecordKind]] = {"loss": "loss", "similarity": "similarity"}


@dataclass(frozen=True)
class Setting:
    """What reading a parameter depends on beside the parameter.

    `folder` is where relative paths start; `hint` closes every message about a plugin's
    parameters; `unsearchable` says why nothing here can be searched (empty where it can).
    """

    plugins: Plugins
    folder: Path
    hint: str = ""
    unsearchable: str = ""


@dataclass(frozen=True)
class Values:
    """Every declared parameter, each either in `fixed` or in `searched`."""

    fixed: Mapping[str, Any]
    searched: Mapping[str, SearchRange]


def read_values(
    owner: Spot, given: Mapping[str, Spot], params: Sequence[Param], setting: Setting
) -> Values:
    """Values for all of `params` from the entries that were given; defaults fill the rest.

    Raises ConfigError for a missing, misfitting or unsearchable value.
    """
    fixed: dict[str, Any] = {}
    searched: dict[str, SearchRange] = {}
    for param in params:
        spot = given.get(param.name)
        if spot is None:
            fixed[param.name] = _default(owner, param, setting)
        elif isinstance(spot.node, Table) and param.kind != "models":
            searched[param.name] = read_range(spot, param, setting)
        else:
            fixed[param.name] = _fixed(spot, param, setting)
    return Values(fixed, searched)


def _default(owner: Spot, param: Param, setting: Setting) -> Any:
    if param.required:
        missing = owner.under(param.name, owner.node)
        raise missing.error(f"missing; expected {_expected(param)} ({param.help}){setting.hint}")
    if param.default is None:
        return None
    if param.kind == "path":
        return _absolute(param.default, setting.folder)
    if param.kind == "paths":
        return tuple(_absolute(path, setting.folder) for path in param.default)
    if param.kind == "simplex":
        return normalised(param.default)
    return tuple(param.default) if isinstance(param.default, list) else param.default


def _fixed(spot: Spot, param: Param, setting: Setting) -> Any:
    if isinstance(spot.node, Items) and param.kind in ("models", "paths"):
        return _listed(spot, spot.node, param, setting)
    value = plain(spot.node)
    if fact := _problem(spot, param):
        raise spot.error(f"{fact}{setting.hint}")
    if value is None:
        return None
    if param.kind == "path":
        return path_value(spot, value, setting)
    if param.kind == "space":
        known = (AUTO, *setting.plugins.names("space"))
        if value not in known:
            close = nearest(value, known) or f"; known: {', '.join(known) or 'none'}"
            fact = f"unknown search space {unknown_word(value)}{close}"
            raise spot.error(f"{fact} (stillhouse plugins)")
    if param.kind in _NAMED:
        _check_named(spot, value, _NAMED[param.kind], setting)
    if param.kind == "simplex":
        return normalised(value)
    return float(value) if param.kind == "float" else value


def _listed(spot: Spot, items: Items, param: Param, setting: Setting) -> tuple[Any, ...]:
    """Networks or paths, each read in its place."""
    # A network's parameters are values themselves: the two modules need each other.
    from stillhouse.core.config.networks import read_network

    inner = [spot.under(str(i), node) for i, node in enumerate(items.items)]
    if param.kind == "models":
        return tuple(read_network(item, setting) for item in inner)
    path = replace(param, kind="path", default=None, required=True)
    return tuple(_fixed(item, path, setting) for item in inner)


def _check_named(spot: Spot, value: str, kind: RecordKind, setting: Setting) -> None:
    known = setting.plugins.names(kind)
    for name in value.split("+") if kind == "similarity" else [value]:
        if name not in known:
            close = nearest(name, known) or f"; known: {', '.join(known) or 'none'}"
            raise spot.error(f"unknown {kind} {unknown_word(name)}{close} (stillhouse plugins)")


def path_value(spot: Spot, value: str, setting: Setting) -> str:
    """The path as it is from the run file's folder; ConfigError for an empty one."""
    if not value.strip():
        raise spot.error(f"expected a path, got {value!r}{setting.hint}")
    return _absolute(value, setting.folder)


def _absolute(value: str, folder: Path) -> str:
    return str((folder / value).absolute())


def _problem(spot: Spot, param: Param) -> str | None:
    value = plain(spot.node)
    if param.problem(value) is None:
        return None
    # The declaration's own message repeats the value in full; here it stays on one short line.
    close = nearest(value, map(str, param.choices)) if isinstance(value, str) else ""
    return f"expected {_expected(param)}, got {shown(spot.node)}{close}"


def _expected(param: Param) -> str:
    bounds = param.bounds()
    if param.choices:
        return bounds
    return f"{EXPECTED[param.kind]}, {bounds}" if bounds else EXPECTED[param.kind]


def read_range(spot: Spot, param: Param, setting: Setting) -> SearchRange:
    """What `{low, high, log}`, `{choices: [...]}`, of taps `{taps, of}` or of weights `{simplex}`
    says, checked against the declaration."""
    _refuse_unsearchable(spot, param, setting)
    if param.kind == "taps":
        return _taps(spot, setting)
    if param.kind == "simplex":
        return SearchRange(simplex=searched_weights(spot, setting.hint))
    given = spot.entries(_RANGE_KEYS, setting.hint)
    if "choices" in given:
        if extra := [key for key in given if key != "choices"]:
            raise spot.error(f"expected either choices or low and high, got choices and {extra[0]}")
        return SearchRange(choices=_choices(given["choices"], param, setting))
    if param.choices or param.kind not in ("int", "float"):
        some = f" out of {', '.join(map(str, param.choices))}" if param.choices else ""
        raise spot.error(f"expected {{choices: [...]}}{some}, got {shown(spot.node)}{setting.hint}")
    return _between(spot, given, param, setting)


def _taps(spot: Spot, setting: Setting) -> SearchRange:
    given = spot.entries(("taps", "of"), setting.hint)
    numbers = {key: plain(inner.node) for key, inner in given.items()}
    if not all(isinstance(n, int) and not isinstance(n, bool) for n in numbers.values()):
        raise spot.error(f"expected {{taps: COUNT, of: TOTAL}}, got {shown(spot.node)}")
    count, total = numbers.get("taps", 0), numbers.get("of", 0)
    if not 1 <= count <= total:
        raise spot.error(
            f"expected {{taps: COUNT, of: TOTAL}} with 1 <= COUNT <= TOTAL, got {shown(spot.node)}"
        )
    return SearchRange(taps=count, of=total)


def _refuse_unsearchable(spot: Spot, param: Param, setting: Setting) -> None:
    reason = setting.unsearchable
    if not reason and not param.searchable:
        reason = f"{param.name} is declared as not searchable"
    if not reason and param.kind == "paths":
        reason = "paths cannot be searched"
    if not reason and param.kind in ("space", "path"):
        reason = f"a {param.kind} cannot be searched"
    if reason:
        expected = f"expected a fixed value ({_expected(param)}), got {shown(spot.node)}"
        raise spot.error(f"{expected}: {reason}{setting.hint}")


def _choices(spot: Spot, param: Param, setting: Setting) -> tuple[Any, ...]:
    value = plain(spot.node)
    if not isinstance(value, tuple) or not value:
        raise spot.error(f"expected a list of at least one choice, got {shown(spot.node)}")
    inner = [spot.under(str(i), node) for i, node in enumerate(getattr(spot.node, "items", ()))]
    found = [_fixed(choice, param, setting) for choice in inner]
    for i, choice in enumerate(found):
        if choice in found[:i]:
            raise inner[i].error(f"the choice {shown(inner[i].node)} is given twice")
    return tuple(found)


def _between(spot: Spot, given: Mapping[str, Spot], param: Param, setting: Setting) -> SearchRange:
    for end in ("low", "high"):
        if end not in given:
            fact = "missing; a search range needs low and high, or choices"
            raise spot.under(end, spot.node).error(f"{fact}{setting.hint}")
    low, high = (_end(given[end], param, setting) for end in ("low", "high"))
    if low >= high:
        raise given["high"].error(f"expected a high above the low of {low:g}, got {high:g}")
    log = _log(given["log"]) if "log" in given else param.log
    if log and low <= 0:
        raise given["low"].error(f"expected a low above 0 for a logarithmic range, got {low:g}")
    return SearchRange(low, high, log)


def _end(spot: Spot, param: Param, setting: Setting) -> Any:
    value = _fixed(spot, param, setting)
    if value is None:
        raise spot.error(f"expected {_expected(param)}, got nothing{setting.hint}")
    return value


def _log(spot: Spot) -> bool:
    if isinstance(spot.node, Scalar) and isinstance(spot.node.value, bool):
        return spot.node.value
    raise spot.error(f"expected true or false, got {shown(spot.node)}")
