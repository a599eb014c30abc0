"""YAML with places: every value knows its line and key path, for messages that point there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml
from yaml.reader import ReaderError

from stillhouse.core.errors import ConfigError

_EXPONENT = re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+")  # YAML 1.1 takes 1e-3 for text
_SCALARS = ("str", "int", "float", "bool")
LARGEST_BYTES = 256_000
_LABELS = {"null": "nothing", "timestamp": "a date (quote it if it is text)"}


@dataclass(frozen=True)
class Place:
    """Where a value stands: `source` names the file, `path` the keys that lead there."""

    source: str
    line: int
    path: str = ""

    def error(self, problem: str) -> ConfigError:
        """The problem, with its place in front."""
        key = f"{self.path}: " if self.path else ""
        return ConfigError(f"{self.source}:{self.line}: {key}{problem}")


@dataclass(frozen=True)
class Marked:
    """A value and its place. `content` is a dict, list (of Marked) or scalar."""

    content: Any
    place: Place

    def plain(self) -> Any:
        """The value without places."""
        if isinstance(self.content, dict):
            return {key: value.plain() for key, value in self.content.items()}
        if isinstance(self.content, list):
            return [value.plain() for value in self.content]
        return self.content

    def mapping(self, what: str) -> dict[str, Marked]:
        """The content as a mapping; ConfigError when it is something else."""
        if not isinstance(self.content, dict):
            raise self.place.error(f"expected {what}, got {self.plain()!r}")
        return self.content


def read_marked(text: str, source: str) -> Marked:
    """Parse one YAML document of plain scalars, lists and mappings.

    Raises ConfigError for bad syntax, tags, aliases, duplicate keys, keys that are not text, and
    for text of more than `LARGEST_BYTES` characters.
    """
    if len(text) > LARGEST_BYTES:
        raise Place(source, 1).error(f"expected at most {LARGEST_BYTES} characters, got more")
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        return _mark(node, Place(source, 1), set()) if node else Marked(None, Place(source, 1))
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        problem = f"not valid YAML: character #x{int(error.character):04x} is not allowed"
        raise Place(source, line).error(problem) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        problem = getattr(error, "problem", None) or str(error)
        raise Place(source, line).error(f"not valid YAML: {problem}") from None
    except RecursionError:
        raise Place(source, 1).error("nested too deeply") from None
    # PyYAML passes on what int() and chr() raise for absurd escapes and version numbers.
    except (ValueError, OverflowError) as error:
        if isinstance(error, ConfigError):
            raise
        raise Place(source, 1).error(f"not valid YAML: {error}") from None


def _mark(node: yaml.Node, above: Place, seen: set[int]) -> Marked:
    place = Place(above.source, node.start_mark.line + 1, above.path)
    if id(node) in seen:
        raise place.error("aliases (*name) are not read; write the value out")
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode) and node.tag.endswith(":map"):
        return Marked(dict(_pairs(node, place, seen)), place)
    if isinstance(node, yaml.SequenceNode) and node.tag.endswith(":seq"):
        return Marked([_mark(item, place, seen) for item in node.value], place)
    return Marked(_scalar(node, place), place)


def _pairs(node: yaml.MappingNode, place: Place, seen: set[int]) -> Iterator[tuple[str, Marked]]:
    lines: dict[str, int] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        if not isinstance(key_node, yaml.ScalarNode) or not key_node.tag.endswith(":str"):
            raise Place(place.source, line, place.path).error("a key must be text")
        key = key_node.value
        below = Place(place.source, line, f"{place.path}.{key}" if place.path else key)
        if key in lines:
            raise below.error(f"duplicate key, first on line {lines[key]}")
        lines[key] = line
        yield key, _mark(value_node, below, seen)


def _scalar(node: yaml.Node, place: Place) -> object:
    kind = node.tag.removeprefix("tag:yaml.org,2002:")
    if not isinstance(node, yaml.ScalarNode) or kind not in (*_SCALARS, *_LABELS):
        raise place.error(f"YAML tags are not read, got {node.tag}")
    if kind in _LABELS:
        raise place.error(f"expected a value, got {_LABELS[kind]}")
    if kind == "str" and node.style is None and _EXPONENT.fullmatch(node.value):
        return float(node.value)
    try:
        return yaml.SafeLoader("").construct_object(node)
    except ValueError:
        raise place.error(f"cannot read {node.value!r}") from None
