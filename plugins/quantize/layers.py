"""Which layers of a network are quantised, and how: from names, groups and parameters alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from torch import Tensor, nn

from stillhouse.core.cost.origin import origin
from stillhouse.core.cost.sheet import Operator
from stillhouse.core.errors import UserError
from stillhouse.core.evaluate import Context, Student
from stillhouse.core.measure import GraphForm
from stillhouse.plugins.layers.naming import PARAMETERS, matches

NONE: Final = "none"
DYNAMIC: Final = "dynamic"
STATIC: Final = "static"
LINEAR: Final = frozenset({DYNAMIC, STATIC})
CONVOLUTION: Final = frozenset({STATIC})
"""What can be done with a layer of each kind; any other scheme leaves it float."""
_KINDS: Final = frozenset({"linear", "conv1d", "conv2d"})
_ADDED: Final = "head"
"""Group of layers that a method added to what the family builds: they answer."""


def traced_part(module: nn.Module) -> nn.Module:
    """The network that exporters are given. UserError where nothing is left to export."""
    found = module.traced() if isinstance(module, GraphForm) else module
    if found is None:
        raise UserError("int8: expected a network of float weights, got a graph that is finished")
    return found


def weights_of(network: nn.Module) -> dict[str, Tensor]:
    """Parameters that may be a layer's weight, by the layer's name, in the network's order."""
    found = network.named_parameters()
    return {layer_name(name): weight for name, weight in found if weight.ndim > 1}


def layer_name(parameter: str) -> str:
    """What a parameter's layer is called in operator sheets: "qkv" for "qkv_weight"."""
    return parameter.removesuffix("weight").rstrip("._")


def schemes(student: Student, params: Any, context: Context) -> dict[str, str]:
    """The scheme of each layer that is quantised, by name."""
    network, rows = traced_part(student.module), _rows(student, context)
    kinds = {layer_name(f"{name}.weight"): part for name, part in network.named_modules()}
    found = {}
    for name in weights_of(network):
        row = _row_of(name, rows)
        if row is None and not isinstance(kinds.get(name), (nn.Linear, nn.Conv1d, nn.Conv2d)):
            continue
        if row is not None and not (row.kind in _KINDS and bool(np.all(has_own_weights(row)))):
            continue
        scheme = scheme_of(row.group if row else _ADDED, vars(params))
        linear = row.kind == "linear" if row else isinstance(kinds[name], nn.Linear)
        named = matches(row.name if row else name, params.layers)
        if named and scheme in (LINEAR if linear else CONVOLUTION):
            found[name] = str(scheme)
    return found


def known_layers(student: Student, context: Context) -> list[str]:
    """What run files call the layers that may be quantised."""
    rows = _rows(student, context).values()
    return [row.name for row in rows if row.kind in _KINDS and bool(np.all(has_own_weights(row)))]


def scheme_of(group: str, values: Mapping[str, Any]) -> Any:
    """The scheme of a group's layers among parameters."""
    own = values.get(PARAMETERS.get(group, ""))
    return values["scheme"] if own is None else own


def has_own_weights(row: Operator) -> Any:
    """Whether a row stores weights that training changes; a bool, or an array of candidates."""
    return np.equal(row["fixed"], 0) & np.equal(row["shared"], 0)


def _rows(student: Student, context: Context) -> dict[str, Operator]:
    """Rows of the student's structure as its family builds it, by name."""
    family = context.family
    sheet = family.sheet(student.structure, family.columns([student.structure]))
    return {row.name: row for row in sheet.rows}


def _row_of(name: str, known: Mapping[str, Operator]) -> Operator | None:
    """The row that a part of a changed network comes from, by the plain rows' names."""
    found = origin(name, known)
    return known[found] if found else None
