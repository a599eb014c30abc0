"""What a record must be before the host believes it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import fields
from typing import Final, TypeVar

from stillhouse.core.errors import PluginError, nearest
from stillhouse.core.plugin.params import Params, declared
from stillhouse.core.plugin.records import API, EVERYTHING, MethodInfo, Record, SpaceInfo

R = TypeVar("R", bound=Record)
NAME: Final = re.compile(r"[a-z][a-z0-9-]*")
_CODE: Final = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")
_FILE: Final = re.compile(r"[A-Za-z_][\w.]*:[^:]+")


def pick(offers: Sequence[object], name: str, info: type[R]) -> R:
    """The one record of this name and type among what a hook returned.

    Raises PluginError when it is absent, offered twice, or breaks the contract.
    """
    found = [item for item in offers if isinstance(item, info) and item.name == name]
    if len(found) != 1:
        raise PluginError(_absent(offers, name, info) if not found else f"yields '{name}' twice")
    problems = list(problems_of(found[0]))
    if problems:
        raise PluginError("; ".join(problems))
    return found[0]


def _absent(offers: Sequence[object], name: str, info: type[Record]) -> str:
    names = [str(item.name) for item in offers if isinstance(item, info)]
    others = sorted({type(item).__name__ for item in offers if not isinstance(item, info)})
    yielded = ", ".join([*(f"'{n}'" for n in names), *(f"a {other}" for other in others)])
    return f"expected a {info.__name__} named '{name}', got {yielded or 'nothing'}" + nearest(
        name, names
    )


def problems_of(record: Record) -> Iterator[str]:
    """Everything in a record that breaks the contract, as text; nothing when it is sound."""
    if record.api != API:
        side = "stillhouse" if record.api > API else "the plugin"
        yield f"written for plugin API {record.api}, this is API {API}: upgrade {side}"
        return
    if wrong := [
        f for f in ("name", "summary", "build") if not isinstance(getattr(record, f), str)
    ]:
        yield from (f"{field}: expected text, got {getattr(record, field)!r}" for field in wrong)
        return
    if not NAME.fullmatch(record.name):
        yield f"a name is lower-case letters, digits and '-', got '{record.name}'"
    if not record.summary.strip() or "\n" in record.summary:
        yield f"summary: expected one line of text, got {record.summary!r}"
    shape, example = _FILE if isinstance(record, SpaceInfo) else _CODE, _example(record)
    if not shape.fullmatch(record.build):
        yield f"build: expected '{example}', got {record.build!r}"
    yield from _bad_words(record)
    yield from _bad_sets(record)
    yield from _bad_params(record.params)


def _example(record: Record) -> str:
    return "package:file.yaml" if isinstance(record, SpaceInfo) else "package.module:attribute"


def _bad_words(record: Record) -> Iterator[str]:
    """Fields of a method that take words of a fixed list."""
    if not isinstance(record, MethodInfo):
        return
    known = sorted(EVERYTHING)
    reads = record.reads if isinstance(record.reads, frozenset) else ()
    for field, word in (("changes", record.changes), *(("reads", one) for one in reads)):
        if word not in known:
            hint = nearest(word, known) if isinstance(word, str) else ""
            yield f"{field}: expected one of {', '.join(known)}, got {word!r}{hint}"


def _bad_sets(record: Record) -> Iterator[str]:
    for field in fields(record):
        if not str(field.type).startswith("frozenset"):
            continue
        value = getattr(record, field.name)
        if not (isinstance(value, frozenset) and all(isinstance(item, str) for item in value)):
            yield f"{field.name}: expected a frozenset of text, got {value!r}"
        elif len(value) > 1 and all(len(item) == 1 for item in value):
            yield (
                f"{field.name}: expected words, got the letters {', '.join(sorted(value))}; write "
                'frozenset({"a word"}), with braces'
            )


def _bad_params(params: object) -> Iterator[str]:
    if not (isinstance(params, type) and issubclass(params, Params)):
        yield f"params: expected a subclass of Params, got {params!r}"
        return
    for param in declared(params):
        problem = None if param.required else param.problem(param.default)
        if problem:
            yield f"default of parameter '{param.name}': {problem}"
