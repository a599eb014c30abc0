"""`--set key.path=value` and `--limit "NAME <= BOUND"`: edits of the tree before it is read."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from stillhouse.core.config.document import parse_document
from stillhouse.core.config.limits import appended, option_bounds
from stillhouse.core.config.nodes import (
    Items,
    Mark,
    Node,
    Scalar,
    Table,
    joined,
    located,
    shown,
    unknown_word,
)
from stillhouse.core.errors import ConfigError, nearest

_NAMED: Final = ("task", "search.sampler", "sweep.sampler")
"""Places that hold a plugin's name, or one name with its parameters."""


def apply_overrides(root: Node, sets: Sequence[str], limits: Sequence[str]) -> Node:
    """The tree with every override in place, later ones on top of earlier ones.

    Raises ConfigError, quoting the override, when it is malformed or leads nowhere.
    """
    for option in sets:
        root = _set(root, option)
    for option in limits:
        mark = Mark(f"--limit {shlex.quote(option)}")
        name, bounds = option_bounds(option, mark)
        keys = ("search", "limits", name)
        root = _Edit(mark).put(root, keys, appended(_at(root, keys), bounds, mark), "")
    return root


def _at(node: Node, keys: tuple[str, ...]) -> Node | None:
    """What stands at a key path of mappings, or None."""
    for key in keys:
        if not isinstance(node, Table) or key not in node.entries:
            return None
        node = node.entries[key]
    return node


def put_at(root: Node, path: str, value: Node, mark: Mark) -> Node:
    """The tree with `value` at a key path that `--set` takes; errors are located at `mark`."""
    keys = tuple(key.strip() for key in path.split("."))
    if not all(keys):
        fact = f"expected a key path such as recipe.METHOD.PARAM, got {unknown_word(path)}"
        raise ConfigError(located(mark, "", fact))
    return _Edit(mark).put(root, keys, value, "")


def at_path(root: Node, path: str) -> Node | None:
    """What stands at a key path that `--set` takes, or None."""
    node: Node | None = root
    for key in path.split("."):
        if isinstance(node, Items) and key.isascii() and key.isdigit():
            item = node.items[int(key)] if int(key) < len(node.items) else None
            inner = _entry(item, _name(item) or "") if item is not None else None
            node = inner if inner is not None else item
        elif isinstance(node, Items):
            named = (_entry(item, key) for item in node.items)
            node = next((one for one in named if one is not None), None)
        else:
            node = _at(node, (key,)) if node is not None else None
    return node


def _entry(item: Node, name: str) -> Node | None:
    return item.entries.get(name) if isinstance(item, Table) and _name(item) == name else None


def _set(root: Node, option: str) -> Node:
    mark = Mark(f"--set {shlex.quote(option)}")
    path, equals, text = option.partition("=")
    keys = tuple(key.strip() for key in path.split("."))
    if not equals or not all(keys):
        fact = "expected KEY.PATH=VALUE, for example search.seed=1 or recipe.METHOD.PARAM=5"
        raise ConfigError(located(mark, "", fact))
    if not text.strip():
        fact = "expected a value after '='; write null to clear a key"
        raise ConfigError(located(mark, "", fact))
    return _Edit(mark).put(root, keys, parse_document(text, str(mark), option=str(mark)), "")


@dataclass(frozen=True)
class _Edit:
    mark: Mark

    def put(self, node: Node, keys: tuple[str, ...], value: Node, path: str) -> Node:
        """A copy of `node` in which the key path holds `value`."""
        if not keys:
            return value
        if isinstance(node, Items):
            return self._put_item(node, keys, value, path)
        key, *rest = keys
        table = self._table(node, key, path)
        inner = table.entries.get(key, Scalar(self.mark, None))
        deeper = joined(path, key)
        return table.put(
            key, self.put(inner, tuple(rest), value, deeper), table.marks.get(key, self.mark)
        )

    def _table(self, node: Node, key: str, path: str) -> Table:
        if isinstance(node, Table):
            if path in _NAMED and node.entries and key not in node.entries:
                raise self._other(path, next(iter(node.entries)), key)
            return node
        if isinstance(node, Scalar) and node.value is None:
            return Table(self.mark)
        if isinstance(node, Scalar) and node.value == key:
            return Table(node.mark).put(key, Scalar(node.mark, None), node.mark)
        if isinstance(node, Scalar) and path in _NAMED:
            raise self._other(path, str(node.value), key)
        raise self._error(path, f"is {shown(node)}, which has no key {unknown_word(key)}")

    def _other(self, path: str, present: str, key: str) -> ConfigError:
        return self._error(
            path, f"is {unknown_word(present)}, not {unknown_word(key)}; set {path}={key} first"
        )

    def _put_item(self, items: Items, keys: tuple[str, ...], value: Node, path: str) -> Node:
        index = self._index(items, keys[0], path)
        item, rest, deeper = items.items[index], keys[1:], joined(path, keys[0])
        if path == "recipe" and (name := _name(item)) is not None:
            # The name itself is not part of `recipe.1.epochs`, and `recipe.1=name` replaces it.
            by_name = keys[0] == name
            rest = (name, *rest) if by_name or rest else ()
            deeper = path if rest else deeper
        new = self.put(item, rest, value, deeper)
        return replace(items, items=(*items.items[:index], new, *items.items[index + 1 :]))

    def _index(self, items: Items, key: str, path: str) -> int:
        names = [_name(item) for item in items.items] if path == "recipe" else []
        if key in names:
            return names.index(key)
        if key.isascii() and key.isdigit() and len(key) < 6 and int(key) < len(items.items):
            return int(key)
        known = [name for name in names if name]
        what = f"no {'method' if path == 'recipe' else 'item'} {unknown_word(key)}"
        listed = f"; it has {', '.join(known)}" if known else f"; it has {len(items.items)} items"
        raise self._error(path, f"{what}{nearest(key, known) or listed}")

    def _error(self, path: str, fact: str) -> ConfigError:
        return ConfigError(located(self.mark, path, fact))


def _name(item: Node) -> str | None:
    if isinstance(item, Scalar):
        return item.value if isinstance(item.value, str) else None
    if isinstance(item, Table) and len(item.entries) == 1:
        return next(iter(item.entries))
    return None
