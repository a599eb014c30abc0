"""How many weights become zeros: from shapes alone, for one network or for the rows of a sheet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.cost.origin import origin
from stillhouse.core.cost.sheet import Cells, Operator, OperatorSheet
from stillhouse.core.evaluate import Context, Student
from stillhouse.plugins.layers import naming
from stillhouse.plugins.layers.matrices import sorted_out
from stillhouse.plugins.layers.naming import groups_of, own_value, plain_group

Array = NDArray[np.float64]
_KINDS: Final = frozenset({"linear", "conv1d", "conv2d"})


def zeros(share: Any, outputs: Any, entries: Any, among: Any) -> Array:
    """The zeros among outputs times entries weights: numbers, or arrays over candidates.

    The share is rounded half up for the whole layer, or for each output; one weight stays.
    """
    each = np.equal(among, "output")
    rows = np.where(each, outputs, 1)
    width = np.where(each, entries, np.multiply(outputs, entries))
    found: Array = rows * np.minimum(np.floor(np.multiply(share, width) + 0.5), width - 1)
    return found


def share_of(group: str, values: Mapping[str, Any]) -> Any:
    """The sparsity of a group's layers among parameters, or columns of them."""
    own = own_value(group, values)
    return values["sparsity"] if own is None else own


def matches(name: str, patterns: str) -> bool:
    """Whether `layers` names a layer, or what an earlier method made it a part of."""
    return naming.matches(name, patterns, lineage)


def lineage(name: str) -> Iterator[str]:
    """A layer's name and, where it is one of two that factorisation made, the whole one's."""
    yield name
    whole, _, part = name.rpartition(".")
    if part in ("0", "1") and whole:
        yield whole


def counts(student: Student, params: Any, context: Context) -> dict[str, int]:
    """The zeros of each layer that has any, by name."""
    layers, _ = sorted_out(student.module)
    groups = groups_of(student, context)
    found = {}
    for name, layer in layers.items():
        whole = origin(name, groups)
        group = groups[whole] if whole else plain_group(layer.part)
        share = share_of(group, vars(params))
        outputs, entries = layer.matrix.shape
        number = int(zeros(share, outputs, entries, params.among))
        if number and matches(name, params.layers):
            found[name] = number
    return found


def sparse_sheet(sheet: OperatorSheet, columns: Mapping[str, Any], patterns: str) -> OperatorSheet:
    """The sheet with the density of every row that has zeros."""

    def density(row: Operator) -> dict[str, Cells | float] | None:
        if row.kind not in _KINDS or not matches(row.name, patterns):
            return None
        own = np.equal(row["groups"], 1) & np.equal(row["fixed"], 0) & np.equal(row["shared"], 0)
        entries = np.multiply(row["inputs"], row["kernel"] if row.kind != "linear" else 1)
        share = share_of(row.group, columns)
        number = zeros(share, row["outputs"], entries, columns["among"]) * own
        whole = np.maximum(np.multiply(row["outputs"], entries), 1)
        return {"density": 1 - number / whole} if np.any(number) else None

    return sheet.map(density)
