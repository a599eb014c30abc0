"""Many configurations at a time, gene by gene: what `codec` does for one, for all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.space import codec
from stillhouse.core.space.dimension import Codes, Dimension
from stillhouse.core.space.dimensions import Real
from stillhouse.core.space.indexed import Indexed
from stillhouse.core.space.layout import Block, Layout
from stillhouse.core.space.variation import activity

_ABSENT: Final = object()
_NUMBERS: Final = frozenset({int, float})


class _DoubtError(Exception):
    """Some configuration does not fit, or is written in a way that only `codec` can judge."""


def encode(layout: Layout, configurations: Sequence[Mapping[str, Any]]) -> Codes:
    """Canonical rows (n, width); UserError, as `codec.encode`, for the first that does not fit."""
    rows = np.full((len(configurations), layout.width), -1.0)
    if not len(rows):
        return rows
    try:
        found = np.zeros(len(rows), dtype=np.int64)
        for at in layout.order:
            found += _fill(layout, rows, at, configurations)
        if (found != np.fromiter(map(len, configurations), np.int64, len(rows))).any():
            raise _DoubtError
    except (_DoubtError, TypeError, ValueError, OverflowError):
        for place, configuration in enumerate(configurations):
            rows[place] = codec.encode(layout, configuration)
    return rows


def _fill(
    layout: Layout, rows: Codes, at: int, configurations: Sequence[Mapping[str, Any]]
) -> NDArray[np.bool_]:
    """Write the codes of one dimension; which configurations have it."""
    block, name = layout.blocks[at], layout.blocks[at].dimension.name
    active = activity(layout, rows, at)
    given = [configuration.get(name, _ABSENT) for configuration in configurations]
    if block.dimension.per is None:
        _write(block, rows, 0, given, active[:, 0])
        return active[:, 0]
    lengths = _lengths(layout, block, rows)
    has = np.array([value is not _ABSENT for value in given])
    came = np.array([len(value) if isinstance(value, list) else -1 for value in given])
    if (has != (lengths >= 0)).any() or (came[has] != lengths[has]).any():
        raise _DoubtError
    for layer in range(block.layers):
        column = [
            value[layer] if length > layer and value[layer] is not None else _ABSENT
            for value, length in zip(given, lengths.tolist(), strict=True)
        ]
        _write(block, rows, layer, column, active[:, layer])
    return np.asarray(lengths >= 0)


def _lengths(layout: Layout, block: Block, rows: Codes) -> NDArray[np.int64]:
    """How many layers the dimension has in each configuration, -1 where it has to be absent."""
    depth = layout.blocks[layout.positions[str(block.dimension.per)]]
    codes = depth.view(rows)[:, 0]
    values = depth.dimension.values(np.maximum(codes, 0.0)).astype(np.int64)
    return np.where(codes[:, 0] >= 0, values, -1)


def _write(
    block: Block, rows: Codes, layer: int, given: Sequence[Any], active: NDArray[np.bool_]
) -> None:
    """One gene of every configuration into the rows."""
    here = np.flatnonzero(active)
    if len(here) < len(rows):
        there = np.fromiter((value is not _ABSENT for value in given), np.bool_, len(rows))
        if (there != active).any():
            raise _DoubtError
        given = [given[place] for place in here.tolist()]
    width = block.dimension.columns
    start = block.start + layer * width
    rows[here, start : start + width] = _codes(block.dimension, given)


def _codes(dimension: Dimension, given: Sequence[Any]) -> Codes:
    """Codes (n, columns) of values, as `Dimension.encode` has them."""
    kinds = set(map(type, given))
    if isinstance(dimension, Real) and not dimension.log and kinds <= _NUMBERS:
        return _linear(dimension, np.array(given, dtype=np.float64))[:, None]
    if not isinstance(dimension, Indexed) or (bool in kinds and len(kinds) > 1):
        return np.array([_code(dimension, value) for value in given])
    table = {value: _code(dimension, value)[0] for value in set(given)}
    return np.array(list(map(table.__getitem__, given)))[:, None]


def _linear(dimension: Real, values: NDArray[np.float64]) -> NDArray[np.float64]:
    if not ((values >= dimension.low) & (values <= dimension.high)).all():
        raise _DoubtError
    return np.clip((values - dimension.low) / (dimension.high - dimension.low), 0.0, 1.0)


def _code(dimension: Dimension, value: object) -> Sequence[float]:
    code = dimension.encode(value)
    if code is None:
        raise _DoubtError
    return code
