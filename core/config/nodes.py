"""The node tree of a run file: every value knows where it was written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from stillhouse.core.errors import ConfigError, nearest

Plain: TypeAlias = bool | int | float | str | None


@dataclass(frozen=True)
class Mark:
    """A place: a file with line and column (from 1), or an option of the command line."""

    source: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.source}:{self.line}:{self.column}" if self.line else self.source


@dataclass(frozen=True, eq=False)
class Scalar:
    """A single value."""

    mark: Mark
    value: Plain


@dataclass(frozen=True, eq=False)
class Items:
    """A list."""

    mark: Mark
    items: tuple[Node, ...]


@dataclass(frozen=True, eq=False)
class Table:
    """A mapping; `marks` says where each key stands."""

    mark: Mark
    entries: Mapping[str, Node] = field(default_factory=dict)
    marks: Mapping[str, Mark] = field(default_factory=dict)

    def put(self, key: str, node: Node, mark: Mark) -> Table:
        marks = {**self.marks, key: mark}
        return replace(self, entries={**self.entries, key: node}, marks=marks)


Node: TypeAlias = Scalar | Items | Table


def plain(node: Node) -> Any:
    """The value of a node: scalars, tuples and dicts."""
    if isinstance(node, Scalar):
        return node.value
    if isinstance(node, Items):
        return tuple(plain(item) for item in node.items)
    return {key: plain(value) for key, value in node.entries.items()}


def shown(node: Node) -> str:
    """What came, for an error message: one short line."""
    if isinstance(node, Scalar):
        return _short(_word(node.value))
    if isinstance(node, Items):
        return _short("[" + ", ".join(shown(item) for item in node.items) + "]")
    inside = (f"{key}: {shown(value)}" for key, value in node.entries.items())
    return _short("{" + ", ".join(inside) + "}")


def _word(value: Plain) -> str:
    if value is None:
        return "nothing"
    return str(value).lower() if isinstance(value, bool) else repr(value)


def unknown_word(word: str) -> str:
    """A key or name in quotes, cut to a length that fits a message."""
    return repr(_short(word))


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."


@dataclass(frozen=True, eq=False)
class Spot:
    """A node with the key path that leads to it; the root's path is empty.

    `unknown` gathers one message for each unknown key of the whole file, so that a reader can
    finish and report them together.
    """

    node: Node
    path: str = ""
    unknown: list[str] = field(default_factory=list)

    def error(self, fact: str) -> ConfigError:
        return ConfigError(located(self.node.mark, self.path, fact))

    def under(self, key: str, node: Node) -> Spot:
        return Spot(node, joined(self.path, key), self.unknown)

    def entries(self, known: tuple[str, ...], hint: str = "") -> dict[str, Spot]:
        """The known entries of a mapping (nothing counts as an empty one); others are noted."""
        table = self.table(hint)
        for key in table.entries:
            if key not in known:
                spot = self.under(key, table.entries[key])
                close = nearest(key, known) or f"; known keys: {', '.join(known) or 'none'}"
                fact = f"unknown key{close}{hint}"
                self.unknown.append(located(table.marks[key], spot.path, fact))
        return {k: self.under(k, v) for k, v in table.entries.items() if k in known}

    def table(self, hint: str = "") -> Table:
        if isinstance(self.node, Table):
            return self.node
        if isinstance(self.node, Scalar) and self.node.value is None:
            return Table(self.node.mark)
        raise self.error(f"expected a mapping of keys to values, got {shown(self.node)}{hint}")


def joined(path: str, key: str) -> str:
    """A key path with one more key, cut to a length that fits a message."""
    return f"{path}.{_short(key)}" if path else _short(key)


def located(mark: Mark, path: str, fact: str) -> str:
    """`file:line:column: key.path: fact`, with invisible characters as escapes."""
    text = f"{mark}: {path}: {fact}" if path else f"{mark}: {fact}"
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
