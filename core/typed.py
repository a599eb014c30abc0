"""Records from plain JSON: every field of the type that its annotation says, or a TypeError."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import cache
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

_T = TypeVar("_T")


def typed(record: type[_T], raw: Any) -> _T:
    """The dataclass `record` from a JSON object, its parts likewise.

    Annotations may be `str`, `int`, `float` (which takes whole numbers), `bool`, `None`, `Any`,
    dataclasses, `Mapping[str, ...]`, `Sequence[...]` and unions of these. Raises TypeError, naming
    the field, for a value of another type and for fields missing or unknown.
    """
    return _record(record, raw, "")


def _record(record: type[_T], raw: Any, path: str) -> _T:
    if not isinstance(raw, dict):
        raise TypeError(f"{path or record.__name__}: expected an object, got {_name(raw)}")
    known = _fields(record)  # type: ignore[arg-type]
    found = {}
    for key, value in raw.items():
        if key not in known:
            raise TypeError(f"{path}unknown field {key!r}")
        found[key] = _value(known[key], value, f"{path}{key}")
    return record(**found)


@cache
def _fields(record: Any) -> Mapping[str, Any]:
    hints = get_type_hints(record)
    return {field.name: hints[field.name] for field in fields(record)}


def _value(kind: Any, value: Any, path: str) -> Any:
    if kind is Any:
        return value
    if get_origin(kind) is UnionType:
        return _one_of(get_args(kind), value, path)
    if get_origin(kind) is Mapping and isinstance(value, dict):
        inner = get_args(kind)[1]
        if inner is Any or (inner is float and all(type(item) is float for item in value.values())):
            return value
        return {key: _value(inner, item, f"{path}.{key}") for key, item in value.items()}
    if get_origin(kind) is Sequence and isinstance(value, list):
        (inner,) = get_args(kind)
        return [_value(inner, item, f"{path}.{i}") for i, item in enumerate(value)]
    if is_dataclass(kind):
        return _record(kind, value, f"{path}.")  # type: ignore[arg-type]
    if not _fits(kind, value):
        raise TypeError(f"{path}: expected {getattr(kind, '__name__', kind)}, got {_name(value)}")
    return value


def _one_of(kinds: tuple[Any, ...], value: Any, path: str) -> Any:
    *first, last = kinds
    for kind in first:
        try:
            return _value(kind, value, path)
        except TypeError:
            continue
    return _value(last, value, path)


def _fits(kind: Any, value: Any) -> bool:
    if isinstance(value, bool):
        return kind is bool
    if kind is float:
        return isinstance(value, (int, float))
    return isinstance(kind, type) and isinstance(value, kind)


def _name(value: Any) -> str:
    return type(value).__name__
