"""Ranks from shapes alone: numbers for one network, arrays for the rows of a sheet."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from fnmatch import fnmatchcase
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from torch import nn

from stillhouse.core.evaluate import Context, Student
from stillhouse.plugins.factorize.layers import Layer, sorted_out

Array = NDArray[np.float64]
PARAMETERS: Final[Mapping[str, str]] = {
    "attention_projections": "attention",
    "feed_forward": "feed_forward",
    "convolution": "convolution",
    "front_end": "front_end",
    "head": "head",
}
"""By the group of a sheet's row, the parameter that holds its share of full rank."""


def kept_rank(share: Any, outputs: Any, inputs: Any) -> Array:
    """Features between the two layers, or 0 where they would have no fewer weights than one.

    `inputs` counts a kernel's entries; numbers or arrays. A share of 1 gives 0 for every shape.
    """
    full = np.minimum(outputs, inputs)
    rank = np.maximum(1, np.floor(np.multiply(share, full) + 0.5))
    found: Array = np.where(rank * (outputs + inputs) < np.multiply(outputs, inputs), rank, 0)
    return found


def matches(name: str, patterns: str) -> bool:
    """Whether a layer is among those that `layers` names."""
    given = _split(patterns)
    left_out = [p[1:].strip() for p in given if p.startswith("!")]
    named = [p for p in given if not p.startswith("!")] or ["*"]
    return any(fnmatchcase(name, p) for p in named) and not any(
        fnmatchcase(name, p) for p in left_out
    )


def unmatched(names: Collection[str], patterns: str) -> list[str]:
    """The patterns that stand for none of the names."""
    plain = {p: p.removeprefix("!").strip() for p in _split(patterns)}
    return [p for p, bare in plain.items() if not any(fnmatchcase(n, bare) for n in names)]


def share_of(group: str, values: Mapping[str, Any]) -> Any:
    """The share of a group's layers among parameters, or columns of them."""
    own = values.get(PARAMETERS.get(group, ""))
    missing = own is None or (isinstance(own, np.ndarray) and own.dtype == object)
    return values["rank"] if missing else own


def ranks(student: Student, params: Any, context: Context) -> dict[str, int]:
    """The rank of each layer that is factorised, by name."""
    layers, _ = sorted_out(student.module)
    groups = _groups(student, context)
    found = {}
    for name, layer in layers.items():
        share = share_of(groups.get(name) or _plain_group(layer), vars(params))
        rank = int(kept_rank(share, *layer.matrix.shape))
        if rank and matches(name, params.layers):
            found[name] = rank
    return found


def _groups(student: Student, context: Context) -> dict[str, str]:
    family = context.family
    sheet = family.sheet(student.structure, family.columns([student.structure]))
    return {row.name: row.group for row in sheet.rows}


def _plain_group(layer: Layer) -> str:
    return "convolution" if isinstance(layer.part, (nn.Conv1d, nn.Conv2d)) else "linear"


def _split(patterns: str) -> list[str]:
    return [p.strip() for p in patterns.split(",") if p.strip()]
