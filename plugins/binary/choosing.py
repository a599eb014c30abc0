"""Which layers become binary: by group, by name, and by what the kernel can compute."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from torch import nn

from stillhouse.core.cost.origin import origin
from stillhouse.core.cost.sheet import OperatorSheet
from stillhouse.core.cost.trace import ancestors
from stillhouse.core.elastic import SelfAttention
from stillhouse.core.evaluate import Context, Student
from stillhouse.plugins.binary.geometry import Geometry
from stillhouse.plugins.layers.matrices import Layer
from stillhouse.plugins.layers.matrices import sorted_out as matrices
from stillhouse.plugins.layers.naming import PARAMETERS, matches

MATRICES: Final = frozenset({"linear", "conv1d", "conv2d"})
"""Kinds of rows that may be binary."""


def sorted_out(network: nn.Module) -> tuple[dict[str, Layer], dict[str, str]]:
    """The layers that may be binary, by name; and by name why other weights stay real."""
    layers, real = matrices(network)
    for name, layer in list(layers.items()):
        try:
            geometry(layer)
        except ValueError as error:
            real[name] = str(error)
            del layers[name]
    return layers, real


def geometry(layer: Layer) -> Geometry:
    """Raises ValueError, see `Geometry.of`."""
    part = layer.part
    if isinstance(part, SelfAttention):
        return Geometry(part.qkv_weight.shape[2], len(layer.matrix))
    return Geometry.of(part)


def switched(group: str, values: Mapping[str, Any]) -> Any:
    """Whether a group's layers become binary, of parameters or of columns of them."""
    name = PARAMETERS.get(group)
    return True if name is None else values[name]


def named(sheet: OperatorSheet) -> dict[str, str]:
    """Names of rows that are matrices, each with the one that patterns know it by.

    `"up.0"`, half of what was `"up"`, goes by that.
    """
    rows = {row.name for row in sheet.rows if row.kind in MATRICES}
    return {name: known_by(name, rows) for name in rows}


def known_by(name: str, rows: Collection[str]) -> str:
    return ([one for one in ancestors(name) if one in rows] or [name])[-1]


def chosen(student: Student, params: Any, context: Context) -> list[str]:
    """Names of the student's layers that become binary, in order."""
    family = context.family
    sheet = family.sheet(student.structure, family.columns([student.structure]))
    groups = {row.name: row.group for row in sheet.rows if row.kind in MATRICES}
    found = []
    for name in sorted_out(student.module)[0]:
        plain = origin(name, groups) or name
        if switched(groups.get(plain, ""), vars(params)) and matches(plain, params.layers):
            found.append(name)
    return found
