"""The page of hooks: signature, what the records say, users, page and test of each."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Iterator, Mapping, Set
from dataclasses import MISSING, Field, fields
from typing import Any, Final, Literal, get_args, get_origin, get_type_hints

from stillhouse.core.plugin import hookspecs
from stillhouse.core.plugin.catalogue import Catalogue
from stillhouse.core.plugin.kinds import DOORS, Door
from stillhouse.core.plugin.records import Record
from stillhouse.core.reference.coverage import Coverage
from stillhouse.core.reference.kinds import TITLES
from stillhouse.core.reference.markdown import (
    block,
    clauses,
    code,
    documentation,
    page,
    sentences,
    table,
)

_ABOUT: Final = (
    "A plugin is a module that implements hooks. A hook yields records: small frozen dataclasses "
    "that say what is offered and where its code is, and import nothing heavy. One entry point a "
    "name leads to the module; nothing else has to be registered."
)


_BREAK: Final = "\n\n"


def hooks_page(catalogue: Catalogue, covered: Mapping[str, Coverage]) -> str:
    """`covered` says by hook which pages and tests there are."""
    about = documentation(Record).split(_BREAK)[0]
    shared = f"## What every record says\n\n{about}\n\n{_fields(Record, Record)}"
    parts = [_hook(door, catalogue, covered[door.hook]) for door in DOORS]
    return page("Hooks", _ABOUT, _overview(catalogue), shared, *parts)


def meaning(record: type[Record], field: str) -> str:
    """What the docstrings of a record and its base say of a field; "" for nothing."""
    names = {one.name for one in fields(record)}
    texts = [documentation(kind) for kind in dict.fromkeys((record, Record))]
    every = (clause for text in texts for clause in _about_fields(text, names))
    return " ".join(dict.fromkeys(clause for clause in every if code(field) in clause))


def _about_fields(text: str, names: Set[str]) -> Iterator[str]:
    """Clauses that name fields, each with those after it that name none, as sentences."""
    said: list[str] = []
    for clause in (c for sentence in sentences(text) for c in clauses(sentence)):
        if any(code(name) in clause for name in names):
            said.append(clause)
        elif said:
            said[-1] += f" {clause}"
    yield from (f"{clause.rstrip('.;')}." for clause in said)


def _overview(catalogue: Catalogue) -> str:
    rows = (
        (f"[{door.hook}](#{_anchor(door.hook)})", code(door.group), code(door.info.__name__),
         str(len(catalogue.names(door.kind))))
        for door in DOORS
    )  # fmt: skip
    return table(("hook", "entry-point group", "record", "built in"), rows)


def _anchor(heading: str) -> str:
    return heading.replace("_", "-")


def _hook(door: Door, catalogue: Catalogue, covered: Coverage) -> str:
    text = inspect.cleandoc(getattr(hookspecs, door.hook).__doc__)
    first, example = text.split("\n\n", 1)
    parts = [
        f"## {door.hook}",
        f"{first}",
        block(_signature(door.hook), "python"),
        documentation(door.info).split(_BREAK)[0],
        _fields(door.info, *(() if door.info is Record else (Record,))),
        "A whole module:",
        block(textwrap.dedent(example), "python"),
        "\n".join(_facts(door, catalogue, covered)),
    ]
    return "\n\n".join(part for part in parts if part)


def _signature(hook: str) -> str:
    signature = inspect.signature(getattr(hookspecs, hook))
    return f"def {hook}{signature}".replace("'", "")


def _fields(record: type[Record], base: type[Record]) -> str:
    """The record's own fields: those that the base has are said once."""
    known = set() if record is base else {field.name for field in fields(base)}
    own = [field for field in fields(record) if field.name not in known]
    rows = [(code(f.name), _type(record, f), _default(f), meaning(record, f.name)) for f in own]
    return table(("field", "type", "default", "meaning"), rows) if rows else ""


def _type(record: type[Record], field: Field[Any]) -> str:
    hint = get_type_hints(record)[field.name]
    if get_origin(hint) is Literal:
        return "one of " + ", ".join(code(value) for value in get_args(hint))
    return code(str(field.type))


def _default(field: Field[Any]) -> str:
    if field.default is MISSING:
        return "required"
    value = field.default
    if isinstance(value, frozenset):
        return code("{" + ", ".join(sorted(value)) + "}") if value else code("{}")
    return code(value.__name__ if isinstance(value, type) else repr(value))


def _facts(door: Door, catalogue: Catalogue, covered: Coverage) -> Iterator[str]:
    target = f"[{TITLES[door.kind][1]}]({TITLES[door.kind][0]}.md)" if door.kind in TITLES else ""
    names = ", ".join(code(name) for name in catalogue.names(door.kind))
    yield f"- built in ({target or '[Methods](methods.md)'}): {names}"
    yield "- explained in " + ", ".join(f"[{name}](../{name})" for name in covered.pages)
    yield "- tested in " + ", ".join(code(f"tests/{name}") for name in covered.tests)
