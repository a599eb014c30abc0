"""Parameters declared once: run-file validation, help, docs and search ranges derive from here.

    class SoftLabelsParams(Params):
        temperature: float = param(4.0, low=1, high=20, log=True, help="softens the logits")

A parameter is either fixed in a run file (`temperature: 2`) or searched
(`temperature: {low: 1, high: 8, log: true}` or `{choices: [1, 2, 4]}`).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from types import NoneType, UnionType
from typing import (
    Any,
    Final,
    Literal,
    NoReturn,
    Union,
    dataclass_transform,
    get_args,
    get_origin,
    get_type_hints,
)

Kind = Literal[
    "bool", "int", "float", "str", "path", "space", "list", "loss", "similarity", "taps",
    "channels", "models", "paths", "simplex",
]  # fmt: skip
_MARK = "stillhouse.param"


@dataclass(frozen=True)
class Param:
    """One declared parameter.

    `phase` says which half of a method reads it: a searched `prepare` parameter splits the
    memoised artefact (one per value); a searched `apply` parameter costs nothing to vary.
    `low` and `high` are inclusive. `kind` `"space"` names a search space whose dimensions join
    the plan under the method's name; `"path"` is resolved against the run file's folder;
    `"loss"` and `"similarity"` name such a plugin (several similarities: `a+b`); `"taps"` is a
    rising list of whole numbers, searched as `{taps: COUNT, of: TOTAL}`; `"channels"` is a list
    of whole numbers, each once, in any order; `"models"` is a list of networks, each a plain dict
    of a model family's name (`model`), its parameters and those of `NetworkTraining`, every
    default filled in; `"paths"` are several of `"path"`; `"simplex"` is a list of numbers of at
    least 0, kept divided by their sum, searched as `{simplex: COUNT}`.
    `searchable=False` refuses a search range in a run file.
    """

    name: str
    kind: Kind
    default: Any
    help: str
    low: float | None = None
    high: float | None = None
    log: bool = False
    choices: tuple[Any, ...] = ()
    phase: Literal["prepare", "apply"] = "prepare"
    searchable: bool = True
    required: bool = False

    def bounds(self) -> str:
        """Bounds or choices as text for listings and error messages."""
        if self.choices:
            return "one of " + ", ".join(str(c) for c in self.choices)
        if self.low is not None and self.high is not None:
            return f"{self.low:g} to {self.high:g}"
        if self.low is not None:
            return f"at least {self.low:g}"
        return f"at most {self.high:g}" if self.high is not None else ""

    def problem(self, value: object) -> str | None:
        """Say what is wrong with a fixed value (`None` when it fits)."""
        if value is None and self.default is None and not self.required:
            return None
        expected = EXPECTED[self.kind]
        if self.kind == "simplex" and value in ((), []) and self.default in ((), []):
            return None
        if not _fits(self.kind, value):
            return f"expected {expected}, got {value!r}"
        if self.choices and value not in self.choices:
            return f"expected {self.bounds()}, got {value!r}"
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            below = self.low is not None and value < self.low
            above = self.high is not None and value > self.high
            if below or above or value != value:
                return f"expected {self.bounds() or expected}, got {value!r}"
        return None


EXPECTED: Final[Mapping[Kind, str]] = {
    "bool": "true or false",
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "path": "a path",
    "space": "the name of a search space",
    "list": "a list",
    "loss": "the name of a loss",
    "similarity": "the name of a similarity, or several with + between them",
    "taps": "a rising list of whole numbers",
    "channels": "a list of whole numbers from 0, each once",
    "models": "a list of networks, each {model: NAME, ...}",
    "paths": "a list of paths",
    "simplex": "a list of numbers of at least 0, one of them above 0",
}


def _fits(kind: Kind, value: object) -> bool:
    if kind == "bool":
        return isinstance(value, bool)
    if kind == "int":
        return isinstance(value, int) and not isinstance(value, bool)
    if kind == "float":
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if kind == "taps":
        return isinstance(value, (list, tuple)) and _rising(value)
    if kind == "channels":
        return isinstance(value, (list, tuple)) and _distinct(value)
    if kind in _OF:
        return isinstance(value, (list, tuple)) and all(isinstance(v, _OF[kind]) for v in value)
    if kind == "simplex":
        return isinstance(value, (list, tuple)) and _weights(value)
    return isinstance(value, str)


_OF: Final[Mapping[Kind, type]] = {"list": object, "models": Mapping, "paths": str}
"""What the items of a list are."""


def _rising(values: Sequence[object]) -> bool:
    whole = [v for v in values if isinstance(v, int) and not isinstance(v, bool) and v >= 0]
    return len(whole) == len(values) and all(a < b for a, b in pairwise(whole))


def _distinct(values: Sequence[object]) -> bool:
    whole = {v for v in values if isinstance(v, int) and not isinstance(v, bool) and v >= 0}
    return len(whole) == len(values)


def _weights(values: Sequence[object]) -> bool:
    real = [v for v in values if isinstance(v, (int, float)) and not isinstance(v, bool)]
    sound = [v for v in real if math.isfinite(v) and v >= 0]
    return len(sound) == len(values) and any(v > 0 for v in sound)


@dataclass_transform(frozen_default=True, kw_only_default=True)
@dataclass(frozen=True, kw_only=True)
class Params:
    """Base of every parameter declaration; subclasses become frozen keyword-only dataclasses.

    It is one itself, of a plugin without parameters: keys of artefacts are made of its text.
    """

    def __init_subclass__(cls) -> None:
        dataclass(frozen=True, kw_only=True)(cls)


def param(
    default: Any = dataclasses.MISSING,
    *,
    help: str,
    kind: Kind | None = None,
    low: float | None = None,
    high: float | None = None,
    log: bool = False,
    choices: tuple[Any, ...] = (),
    phase: Literal["prepare", "apply"] = "prepare",
    searchable: bool = True,
) -> Any:
    """Declare a parameter; without a default the run file must give it."""
    mark = {
        "help": help, "kind": kind, "low": low, "high": high, "log": log,
        "choices": choices, "phase": phase, "searchable": searchable,
    }  # fmt: skip
    if default is dataclasses.MISSING:
        return dataclasses.field(metadata={_MARK: mark})
    return dataclasses.field(default=default, metadata={_MARK: mark})


def declared(params: type[Params]) -> tuple[Param, ...]:
    """The parameters of a declaration, in order of declaration."""
    if not dataclasses.is_dataclass(params):
        return ()
    hints = get_type_hints(params)
    return tuple(_declare(field, hints[field.name]) for field in dataclasses.fields(params))


def _declare(field: dataclasses.Field[Any], hint: object) -> Param:
    if _MARK not in field.metadata:
        raise TypeError(f"parameter '{field.name}' is declared without param(...)")
    mark: Mapping[str, Any] = field.metadata[_MARK]
    required = field.default is dataclasses.MISSING
    rest = {k: v for k, v in mark.items() if k != "kind"}
    if mark["kind"] == "models" and not required and field.default:
        raise TypeError(f"parameter '{field.name}': networks have no default but none of them")
    return Param(
        name=field.name,
        kind=mark["kind"] or _kind(hint),
        default=None if required else field.default,
        required=required,
        **rest,
    )


def _kind(hint: object) -> Kind:
    """The kind a type hint stands for; `x | None` counts as `x`, a `Literal` as its values' type.

    Raises TypeError for a hint that stands for none: such a parameter says `kind=` itself.
    """
    if get_origin(hint) in (Union, UnionType):
        rest = [part for part in get_args(hint) if part is not NoneType]
        return _kind(rest[0]) if len(rest) == 1 else _unclear(hint)
    if get_origin(hint) is Literal:
        kinds = {type(value) for value in get_args(hint)}
        return _kind(kinds.pop()) if len(kinds) == 1 else _unclear(hint)
    if hint in _PLAIN:
        return _PLAIN[hint]
    return "list" if (get_origin(hint) or hint) in (list, tuple, Sequence) else _unclear(hint)


def _unclear(hint: object) -> NoReturn:
    raise TypeError(f"no parameter kind for the type {hint}: say param(..., kind=...)")


_PLAIN: dict[object, Kind] = {bool: "bool", int: "int", float: "float", str: "str"}
