"""The found configuration beside the full one, as shares to be drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from stillhouse.core.report.configuration import short_names, value_text
from stillhouse.core.report.numerals import finite, significant

_RATIO: Final = "_ratio"
_WIDTH: Final = "width"
_MOST_CELLS: Final = 16


@dataclass(frozen=True)
class Bar:
    """A part kept of a whole. `cells` > 0 draws that many units; `share` is kept over whole."""

    name: str
    share: float
    text: str
    cells: int = 0
    kept: int = 0
    dropped: bool = False


@dataclass(frozen=True)
class Layer:
    """One layer: a bar for each per-layer gene; `dropped` when the found model lacks it."""

    number: int
    bars: Sequence[Bar]
    dropped: bool


@dataclass(frozen=True)
class Anatomy:
    """Scalars as bars, per-layer genes by layer, everything else as name and text."""

    scalars: Sequence[Bar]
    columns: Sequence[str]
    layers: Sequence[Layer]
    others: Sequence[tuple[str, str]]


def anatomy(full: Mapping[str, Any], found: Mapping[str, Any]) -> Anatomy:
    """Sort genes by their shape; the whole of a bar is the full configuration's value.

    A per-layer gene called `*_ratio` counts multiples of the scalar gene `width` where both
    configurations have one, and is drawn as the size it amounts to: the whole part of their
    product.
    """
    names = short_names([*full, *found])
    full = {short: full[name] for name, short in names.items() if name in full}
    found = {short: found[name] for name, short in names.items() if name in found}
    listed = [name for name in names.values() if _per_layer(full.get(name), found.get(name))]
    plain = [name for name in names.values() if name not in listed]
    scalars = [n for n in plain if finite(full.get(n)) and finite(found.get(n)) is not None]
    others = [(name, _other(full, found, name)) for name in plain if name not in scalars]
    return Anatomy(
        scalars=[_scalar(name, full[name], found[name]) for name in scalars],
        columns=[_column(name, full, found) for name in listed],
        layers=_layers(listed, full, found),
        others=others,
    )


def _per_layer(full: Any, found: Any) -> bool:
    """Lists with at least one number and nothing but numbers and gaps.

    What the full network has not is no part of it: weights of a mixture are a list too.
    """
    known = [v for v in (full, found) if v is not None]
    if full is None or not all(isinstance(v, (list, tuple)) for v in known):
        return False
    items = [item for value in known for item in value]
    numbers = [item for item in items if finite(item) is not None]
    return bool(numbers) and all(i is None or finite(i) is not None for i in items)


def _other(full: Mapping[str, Any], found: Mapping[str, Any], name: str) -> str:
    if name not in found:
        return f"dropped (full: {value_text(full[name])})"
    shown = value_text(found[name])
    same = name not in full or full[name] == found[name]
    return shown if same else f"{shown} (full: {value_text(full[name])})"


def _scalar(name: str, full: float, found: float) -> Bar:
    return Bar(name, _share(found, full), f"{value_text(found)} of {value_text(full)}")


def _share(part: float, whole: float) -> float:
    return min(1.0, max(0.0, part / whole)) if whole > 0 else 0.0


def _sized(name: str, full: Mapping[str, Any], found: Mapping[str, Any]) -> bool:
    widths = finite(full.get(_WIDTH)), finite(found.get(_WIDTH))
    return name.endswith(_RATIO) and None not in widths


def _column(name: str, full: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    if not _sized(name, full, found):
        return name.replace("_", " ")
    stem = name.removesuffix(_RATIO).replace("_", " ")
    return f"{'feed-forward' if stem == 'ffn' else stem} size"


def _sizes(name: str, full: Mapping[str, Any], found: Mapping[str, Any]) -> tuple[Any, Any]:
    """The per-layer values to draw: (full, found)."""
    if _sized(name, full, found):
        return _scaled(name, full), _scaled(name, found)
    return list(full.get(name) or ()), list(found.get(name) or ())


def _scaled(name: str, configuration: Mapping[str, Any]) -> list[int | None]:
    width = configuration[_WIDTH]
    values = configuration.get(name) or ()
    return [None if v is None else max(1, int(v * width + 1e-6)) for v in values]


def _layers(names: Sequence[str], full: Mapping[str, Any], found: Mapping[str, Any]) -> list[Layer]:
    sizes = {name: _sizes(name, full, found) for name in names}
    count = max((len(values) for both in sizes.values() for values in both), default=0)
    kept = max((len(both[1]) for both in sizes.values()), default=0)
    return [
        Layer(i + 1, [_bar(name, *sizes[name], i) for name in names], dropped=i >= kept)
        for i in range(count)
    ]


def _bar(name: str, full: Sequence[Any], found: Sequence[Any], layer: int) -> Bar:
    """The kept part of one gene in one layer, on the scale of the widest layer."""
    numbers = [v for v in (*full, *found) if v is not None]
    top = max(numbers, default=0)
    whole = full[layer] if layer < len(full) else None
    part = found[layer] if layer < len(found) else None
    wholes = all(isinstance(v, int) for v in numbers) and 0 < top <= _MOST_CELLS
    shown = f"{_short(part)} of {_short(whole)}" if whole is not None else _short(part)
    return Bar(
        name=name,
        share=_share(part or 0, top),
        text=shown,
        cells=top if wholes else 0,
        kept=int(part or 0) if wholes else 0,
        dropped=part is None,
    )


def _short(value: Any) -> str:
    return "0" if value is None else f"{value:,}" if isinstance(value, int) else significant(value)
