"""Search spaces as YAML: read, checked, with file, line and key path in every message."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from stillhouse.core import plain_json
from stillhouse.core.errors import ConfigError, nearest
from stillhouse.core.space.dimension import Dimension, whole
from stillhouse.core.space.dimensions import Choice, Integer, Real
from stillhouse.core.space.layout import condition_problem
from stillhouse.core.space.marked import LARGEST_BYTES, Marked, read_marked
from stillhouse.core.space.space import Space
from stillhouse.core.space.vectors import Simplex, Taps

_TOP = ("name", "family", "summary", "dimensions")
_SHAPES = "choices, low and high, simplex, or taps and of"


def load_space(text_or_path: str | Path, name: str = "") -> Space:
    """Read a space from YAML text, or from a file given as a Path or as text ending in ".yaml".

    `name` stands for the file in messages. Raises ConfigError with file, line, key path, what was
    expected and what came.

        dimensions:
          depth: {low: 2, high: 6}
          heads: {choices: [2, 4], per: depth}
          dropout: {low: 0.0, high: 0.5}
          front: {choices: [waveform, mel]}
          bands: {choices: [40, 80], when: {front: mel}}
          weights: {simplex: 4}
          hints: {taps: 3, of: 12}
    """
    lone = isinstance(text_or_path, str) and "\n" not in text_or_path
    if isinstance(text_or_path, Path) or (lone and Path(text_or_path).suffix in (".yaml", ".yml")):
        return _parse(_read(Path(text_or_path)), name or str(text_or_path))
    return _parse(str(text_or_path), name or "search space")


def _read(path: Path) -> str:
    try:
        return plain_json.content(path, LARGEST_BYTES).decode()
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: expected a search space as UTF-8 text") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot read the search space: {error.strerror}") from None
    except ValueError as error:
        raise ConfigError(f"{path}: cannot read the search space: {error}") from None


def _parse(text: str, source: str) -> Space:
    root = read_marked(text, source)
    top = root.mapping("a search space with 'dimensions'")
    _refuse_unknown(top, _TOP)
    if "dimensions" not in top:
        raise root.place.error("expected the key 'dimensions'")
    for key in ("name", "family", "summary"):
        if key in top and not isinstance(top[key].content, str):
            raise top[key].place.error(f"expected text, got {top[key].plain()!r}")
    entries = top["dimensions"].mapping("dimensions by name")
    dimensions = {name: _dimension(name, entry) for name, entry in entries.items()}
    for name, dimension in dimensions.items():
        if problem := condition_problem(dimension, dimensions):
            raise entries[name].place.error(problem)
    return Space(list(dimensions.values()))


def _refuse_unknown(given: Mapping[str, Marked], known: Iterable[str]) -> None:
    for key, value in given.items():
        if key not in known:
            expected = ", ".join(dict.fromkeys(known))
            raise value.place.error(f"unknown key{nearest(key, known)} (expected {expected})")


def _dimension(name: str, entry: Marked) -> Dimension:
    given = entry.mapping(f"{{{_SHAPES}}}")
    shape = next((key for key in _READERS if key in given), None)
    if shape is None:
        _refuse_unknown(given, (*(k for keys, _ in _READERS.values() for k in keys), "when", "per"))
        raise entry.place.error(f"expected {_SHAPES}")
    keys, build = _READERS[shape]
    _refuse_unknown(given, (*keys, "when", "per"))
    values = {key: _value(key, given[key]) for key in given if key not in ("when", "per")}
    try:
        return build(name, values, _condition(given))
    except KeyError as missing:
        raise entry.place.error(f"'{shape}' needs the key {missing} too") from None
    except ConfigError as error:
        raise entry.place.error(str(error).removeprefix(f"dimension '{name}': ")) from None


def _value(key: str, marked: Marked) -> Any:
    value = marked.plain()
    if key == "choices" and isinstance(value, list):
        return tuple(value)
    fits: dict[str, Callable[[object], bool]] = {
        "choices": lambda v: False,
        "log": lambda v: isinstance(v, bool),
        "real": lambda v: isinstance(v, bool),
        "low": lambda v: isinstance(v, float) or whole(v),
        "high": lambda v: isinstance(v, float) or whole(v),
    }
    if not fits.get(key, whole)(value):
        raise marked.place.error(f"expected {_EXPECTED.get(key, 'a whole number')}, got {value!r}")
    return value


_EXPECTED = {
    "choices": "a list of choices",
    "log": "true or false",
    "real": "true or false",
    "low": "a number",
    "high": "a number",
}


def _condition(given: Mapping[str, Marked]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if "per" in given:
        if not isinstance(given["per"].content, str):
            raise given["per"].place.error("expected the name of a dimension")
        found["per"] = given["per"].content
    if "when" in given:
        pairs = given["when"].mapping("{parent: value} or {parent: [values]}")
        if len(pairs) != 1:
            raise given["when"].place.error(f"expected one parent, got {len(pairs)}")
        ((parent, values),) = pairs.items()
        listed = values.plain() if isinstance(values.content, list) else [values.plain()]
        found["when"] = (parent, tuple(listed))
    return found


def _numbers(name: str, given: Mapping[str, Any], condition: Mapping[str, Any]) -> Dimension:
    low, high, log = given["low"], given["high"], given.get("log", False)
    if given.get("real") or isinstance(low, float) or isinstance(high, float):
        if "step" in given:
            raise ConfigError("'step' is for whole numbers; list the values as choices")
        return Real(name, float(low), float(high), log, **condition)
    return Integer(name, low, high, given.get("step", 1), log, **condition)


_Build = Callable[[str, Mapping[str, Any], Mapping[str, Any]], Dimension]
_READERS: dict[str, tuple[tuple[str, ...], _Build]] = {
    "choices": (("choices",), lambda name, v, c: Choice(name, v["choices"], **c)),
    "simplex": (("simplex",), lambda name, v, c: Simplex(name, v["simplex"], **c)),
    "taps": (("taps", "of"), lambda name, v, c: Taps(name, v["taps"], v["of"], **c)),
    "low": (("low", "high", "step", "log", "real"), _numbers),
    "high": (("low", "high", "step", "log", "real"), _numbers),
}
