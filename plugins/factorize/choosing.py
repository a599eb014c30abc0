"""Ranks from shapes alone: numbers for one network, arrays for the rows of a sheet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.evaluate import Context, Student
from stillhouse.plugins.layers.matrices import sorted_out
from stillhouse.plugins.layers.naming import groups_of, matches, own_value, plain_group

Array = NDArray[np.float64]


def kept_rank(share: Any, outputs: Any, inputs: Any) -> Array:
    """Features between the two layers, or 0 where they would have no fewer weights than one.

    `inputs` counts a kernel's entries; numbers or arrays. A share of 1 gives 0 for every shape.
    """
    full = np.minimum(outputs, inputs)
    rank = np.maximum(1, np.floor(np.multiply(share, full) + 0.5))
    found: Array = np.where(rank * (outputs + inputs) < np.multiply(outputs, inputs), rank, 0)
    return found


def share_of(group: str, values: Mapping[str, Any]) -> Any:
    """The share of a group's layers among parameters, or columns of them."""
    own = own_value(group, values)
    return values["rank"] if own is None else own


def ranks(student: Student, params: Any, context: Context) -> dict[str, int]:
    """The rank of each layer that is factorised, by name."""
    layers, _ = sorted_out(student.module)
    groups = groups_of(student, context)
    found = {}
    for name, layer in layers.items():
        share = share_of(groups.get(name) or plain_group(layer.part), vars(params))
        rank = int(kept_rank(share, *layer.matrix.shape))
        if rank and matches(name, params.layers):
            found[name] = rank
    return found
