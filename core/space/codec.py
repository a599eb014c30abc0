"""Codes to configurations and back: plain Python values, checked gene by gene."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.errors import UserError, nearest
from stillhouse.core.space.dimension import Codes, Dimension
from stillhouse.core.space.layout import Block, Layout
from stillhouse.core.space.variation import activity


def decode(layout: Layout, row: Sequence[float]) -> dict[str, Any]:
    """The configuration of a canonical row. Inactive genes are absent.

    A dimension with `per` becomes a list with as many items as there are layers; an item whose
    own condition does not hold is None.
    """
    found = {}
    for block in layout.blocks:
        dimension, width, start = block.dimension, block.dimension.columns, block.start
        if dimension.per is None:
            if row[start] >= 0:
                found[dimension.name] = dimension.decode(row[start : start + width])
        elif (length := _length(layout, block, row)) is not None:
            starts = range(start, start + length * width, width)
            found[dimension.name] = [
                dimension.decode(row[at : at + width]) if row[at] >= 0 else None for at in starts
            ]
    return found


def _length(layout: Layout, block: Block, row: Sequence[float]) -> int | None:
    """Layers that a row gives a dimension with `per`; None when their number is inactive."""
    depth = layout.blocks[layout.positions[str(block.dimension.per)]]
    code = row[depth.start]
    return int(depth.dimension.decode([code])) if code >= 0 else None


def encode(layout: Layout, configuration: Mapping[str, Any]) -> Codes:
    """The canonical row of a configuration; UserError names the first gene that does not fit."""
    for name in configuration:
        if name not in layout.positions:
            known = ", ".join(layout.positions) or "none"
            raise UserError(f"unknown gene '{name}'{nearest(name, layout.positions)} ({known})")
    row = np.full((1, layout.width), -1.0)
    for at in layout.order:
        block, wanted = layout.blocks[at], _wanted(layout, row, at)
        name = block.dimension.name
        if wanted is not None and name not in configuration:
            raise UserError(f"gene '{name}' is missing; expected {block.dimension.expected}")
        if wanted is None and name in configuration:
            raise UserError(f"gene '{name}' is superfluous here: {_reason(block.dimension)}")
        if wanted is not None:
            _write(block, block.view(row)[0], wanted, configuration[name])
    encoded: Codes = row[0]
    return encoded


def _wanted(layout: Layout, row: Codes, at: int) -> list[bool] | None:
    """Which layers of a block need a value, given its parents; None when it must be absent."""
    block = layout.blocks[at]
    active: list[bool] = activity(layout, row, at)[0].tolist()
    if block.dimension.per is None:
        return active if active[0] else None
    length = _length(layout, block, row[0].tolist())
    return None if length is None else active[:length]


def _reason(dimension: Dimension) -> str:
    if dimension.when is None:
        return f"'{dimension.per}' is not active"
    values = ", ".join(str(value) for value in dimension.when[1])
    return f"it needs '{dimension.when[0]}' to be {values}"


def _write(block: Block, genes: Codes, wanted: Sequence[bool], given: object) -> None:
    """Encode one dimension's value, or its list of values, into genes (layers, columns)."""
    dimension, given = block.dimension, _plain(given)
    if dimension.per is None:
        genes[0] = _code(dimension, dimension.name, given)
        return
    if not isinstance(given, (list, tuple)) or len(given) != len(wanted):
        came = f"{len(given)}" if isinstance(given, (list, tuple)) else repr(given)
        raise UserError(
            f"gene '{dimension.name}': expected a list of {len(wanted)}, one for each of "
            f"'{dimension.per}'; got {came}"
        )
    for layer, (value, active) in enumerate(zip(given, wanted, strict=True)):
        name = f"{dimension.name}[{layer}]"
        if active:
            genes[layer] = _code(dimension, name, _plain(value))
        elif value is not None:
            raise UserError(f"gene '{name}': expected None, got {value!r}: {_reason(dimension)}")


def _code(dimension: Dimension, name: str, value: object) -> Sequence[float]:
    code = dimension.encode(value)
    if code is None:
        raise UserError(f"gene '{name}': expected {dimension.expected}; got {value!r}")
    return code


def _plain(value: object) -> object:
    return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value


_CANONICAL: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False).encode


def key(configuration: Mapping[str, Any]) -> str:
    """16 hexadecimal digits that identify a configuration, whatever the order of its genes."""
    return hashlib.blake2b(_CANONICAL(dict(configuration)).encode(), digest_size=8).hexdigest()


def values(block: Block, codes: Codes) -> NDArray[Any]:
    """Values of a block over candidates: (n,) or with `per` (n, layers); vectors add an axis."""
    view = block.view(codes)
    inactive = view[..., 0] < 0
    found = block.dimension.values(view)
    found[inactive] = None if found.dtype == object else np.nan
    return found if block.dimension.per is not None else found[:, 0]
