"""Quantised layers as rows of the operator sheet, for all candidates at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.cost.sheet import Cells, Operator, OperatorSheet
from stillhouse.plugins.layers.naming import PARAMETERS, matches
from stillhouse.plugins.quantize.layers import (
    CONVOLUTION,
    DYNAMIC,
    LINEAR,
    has_own_weights,
)
from stillhouse.plugins.quantize.weights import UNSIGNED

_KINDS: Final = {"linear": LINEAR, "conv1d": CONVOLUTION, "conv2d": CONVOLUTION}
_BITS: Final = 8
_FLOAT_BITS: Final = 32
_ZERO: Final = 8 / 32
"""Of a scale, what a zero point takes."""


def quantised_sheet(sheet: OperatorSheet, columns: Mapping[str, Any]) -> OperatorSheet:
    """The sheet with 8 bits where a candidate's layer is quantised.

    Linear layers take floats and give floats, and round inside; what integer convolutions pass on
    has 8 bits.
    """
    patterns = str(columns["layers"][0]) if sheet.candidates else "*"

    def change(row: Operator) -> Mapping[str, Cells | float] | None:
        if row.kind not in _KINDS or not matches(_plain(row.name), patterns):
            return None
        scheme = _scheme(row.group, columns)
        rounded = np.isin(scheme, list(_KINDS[row.kind])) & has_own_weights(row)
        if not rounded.any():
            return None
        linear = row.kind == "linear"
        cells: dict[str, Cells | float] = {
            "weight_bits": _BITS,
            "activation_bits": _BITS,
            "dynamic_scale": (scheme == DYNAMIC) * 1.0,
            "kept_bits": _FLOAT_BITS if linear else _BITS,
            "scales": _scales(row, scheme, columns),
        }
        return {name: np.where(rounded, cell, row[name]) for name, cell in cells.items()}

    return sheet.map(change)


def _scales(row: Operator, scheme: NDArray[Any], columns: Mapping[str, Any]) -> Cells:
    """Scales, and zero points where they are stored: a static product has them in any case."""
    stored = np.asarray(columns["weights"]).astype(str) == UNSIGNED
    if row.kind == "linear":
        stored = stored | (scheme != DYNAMIC)
    each = np.where(np.asarray(columns["per_channel"]).astype(bool), row["outputs"], 1)
    found: Cells = each * (1 + _ZERO * stored)
    return found


def _plain(name: str) -> str:
    """The layer that a row is a part of: factorised layers are numbered."""
    before, _, last = name.rpartition(".")
    return before if last.isdecimal() else name


def _scheme(group: str, columns: Mapping[str, Any]) -> NDArray[Any]:
    """The scheme of a group's layers, (candidates,)."""
    own = columns.get(PARAMETERS.get(group, ""))
    common = np.asarray(columns["scheme"]).astype(str)
    if own is None:
        return common
    given = np.asarray(own, object)
    left_out = np.array([one is None for one in given.tolist()], np.bool_)
    found: NDArray[Any] = np.where(left_out, common, given.astype(str))
    return found
