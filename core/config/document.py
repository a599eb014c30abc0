"""YAML text to a node tree with file, line, column and key path; plain data only."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml

from stillhouse.core.config.nodes import Items, Mark, Node, Scalar, Table, joined, located, shown
from stillhouse.core.config.scalars import resolve
from stillhouse.core.errors import ConfigError, nearest

LARGEST_BYTES: Final = 256_000
_DEEPEST: Final = 40
_MOST_NODES: Final = 20_000


def read_text(path: Path) -> str:
    """The text of a run file. Raises ConfigError for a file that cannot be read as UTF-8."""
    try:
        with path.open("rb") as stream:
            raw = stream.read(LARGEST_BYTES + 1)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: {_unreadable(path, error)}") from None
    if len(raw) > LARGEST_BYTES:
        raise ConfigError(f"{path}: expected a run file of at most {LARGEST_BYTES} bytes, got more")
    return _decoded(raw, path)


def _unreadable(path: Path, error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        folder = path.parent
        beside = [f.name for f in folder.iterdir()] if folder.is_dir() else []
        return f"no such file{nearest(path.name, beside)} (stillhouse init {path} writes one)"
    if isinstance(error, IsADirectoryError):
        return f"expected a run file, got a folder (for example {path / 'run.yaml'})"
    return f"the run file cannot be read: {getattr(error, 'strerror', None) or error}"


def _decoded(raw: bytes, path: Path) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        column = error.start - raw.rfind(b"\n", 0, error.start)
        raise ConfigError(
            f"{path}:{line}:{column}: expected UTF-8 text, got byte 0x{raw[error.start]:02x}; "
            "save the file as UTF-8"
        ) from None


def parse_document(text: str, source: str, option: str = "") -> Node:
    """The one document in `text`, as a tree.

    `option` names a command-line option the text came from; it then stands for every line.
    Raises ConfigError for anything that is not plain YAML data: syntax errors, tags, duplicate or
    non-text keys, several documents, too many nodes.
    """
    return _Reader(text, Mark(option or source), bool(option)).document()


class _Reader:
    """Builds the tree from PyYAML's events; nothing is constructed, so no tag can act."""

    def __init__(self, text: str, origin: Mark, flat: bool) -> None:
        self._text = text.removeprefix("\ufeff")
        self._origin = origin
        self._flat = flat
        self._anchors: dict[str, tuple[Node, int]] = {}
        self._nodes = 0
        self._events: Iterator[Any] = iter(())

    def document(self) -> Node:
        try:
            self._events = iter(yaml.parse(self._text, Loader=yaml.SafeLoader))
            return self._root()
        except ConfigError:
            raise
        except yaml.MarkedYAMLError as error:
            raise ConfigError(located(self._at(error.problem_mark), "", _syntax(error))) from None
        except yaml.reader.ReaderError as error:
            place = self._place(error.position)
            fact = f"character U+{ord(self._text[error.position]):04X} is not allowed in YAML"
            raise ConfigError(located(place, "", fact)) from None
        # PyYAML passes on what int() and chr() raise for absurd escapes and version numbers.
        except (ValueError, OverflowError) as error:
            raise ConfigError(located(self._origin, "", f"not valid YAML: {error}")) from None

    def _root(self) -> Node:
        next(self._events)
        start = next(self._events)
        if isinstance(start, yaml.StreamEndEvent):
            raise ConfigError(located(self._origin, "", "expected a run file, got an empty one"))
        root = self._node(next(self._events), "", 0)
        next(self._events)
        after = next(self._events)
        if not isinstance(after, yaml.StreamEndEvent):
            raise self._error(after, "", "expected one document, got a second one ('---')")
        return root

    def _node(self, event: Any, path: str, depth: int) -> Node:
        before = self._nodes
        self._count(event, path, 1)
        if depth > _DEEPEST:
            raise self._error(event, path, f"nested more than {_DEEPEST} levels deep")
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, path)
        if event.tag is not None:
            fact = f"expected plain data, got the tag {event.tag!r}; remove the tag"
            raise self._error(event, path, fact)
        node = self._content(event, path, depth)
        if event.anchor is not None:
            self._anchors[event.anchor] = (node, self._nodes - before)
        return node

    def _content(self, event: Any, path: str, depth: int) -> Node:
        if isinstance(event, yaml.MappingStartEvent):
            return self._table(event, path, depth)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._items(event, path, depth)
        return self._scalar(event, path)

    def _alias(self, event: Any, path: str) -> Node:
        if event.anchor not in self._anchors:
            fact = f"the alias *{event.anchor} has no anchor &{event.anchor} before it"
            raise self._error(event, path, fact)
        node, size = self._anchors[event.anchor]
        self._count(event, path, size)
        return node

    def _count(self, event: Any, path: str, nodes: int) -> None:
        self._nodes += nodes
        if self._nodes > _MOST_NODES:
            fact = f"more than {_MOST_NODES} values, aliases counted in full"
            raise self._error(event, path, fact)

    def _scalar(self, event: Any, path: str) -> Node:
        value = event.value
        if any(c == "\0" or "\ud800" <= c <= "\udfff" for c in value):
            raise self._error(event, path, "text with a NUL or half a surrogate pair in it")
        try:
            return Scalar(
                self._at(event.start_mark), resolve(value) if event.implicit[0] else value
            )
        except ValueError as error:
            raise self._error(event, path, str(error)) from None

    def _items(self, event: Any, path: str, depth: int) -> Node:
        found: list[Node] = []
        while not isinstance(inner := next(self._events), yaml.SequenceEndEvent):
            found.append(self._node(inner, joined(path, str(len(found))), depth + 1))
        return Items(self._at(event.start_mark), tuple(found))

    def _table(self, event: Any, path: str, depth: int) -> Node:
        table = Table(self._at(event.start_mark))
        entries: dict[str, Node] = {}
        marks: dict[str, Mark] = {}
        while not isinstance(inner := next(self._events), yaml.MappingEndEvent):
            key = self._key(inner, path, depth, marks)
            marks[key] = self._at(inner.start_mark)
            entries[key] = self._node(next(self._events), joined(path, key), depth + 1)
        return Table(table.mark, entries, marks)

    def _key(self, event: Any, path: str, depth: int, seen: dict[str, Mark]) -> str:
        node = self._node(event, path, depth + 1)
        if not isinstance(node, Scalar) or not isinstance(node.value, str):
            fact = f"expected a key that is text, got {shown(node)}; quote it if it is meant"
            raise self._error(event, path, fact)
        if node.value in seen:
            fact = f"this key is given twice, first at {seen[node.value]}; keep one"
            raise self._error(event, joined(path, node.value), fact)
        return node.value

    def _at(self, mark: Any) -> Mark:
        if self._flat or mark is None:
            return self._origin
        return Mark(self._origin.source, mark.line + 1, mark.column + 1)

    def _place(self, offset: int) -> Mark:
        if self._flat:
            return self._origin
        before = self._text[:offset]
        column = len(before) - before.rfind("\n")
        return Mark(self._origin.source, before.count("\n") + 1, column)

    def _error(self, event: Any, path: str, fact: str) -> ConfigError:
        return ConfigError(located(self._at(event.start_mark), path, fact))


def _syntax(error: yaml.MarkedYAMLError) -> str:
    problem = error.problem or "unreadable"
    if "'\\t'" in problem:
        return "expected spaces, got a tab; YAML indents with spaces only"
    if problem.startswith("mapping values are not allowed"):
        return "unexpected ':'; check the indentation of this line, or quote the text"
    context = f" {error.context}" if error.context else ""
    return f"not valid YAML: {problem}{context}; check indentation, quotes and brackets"
