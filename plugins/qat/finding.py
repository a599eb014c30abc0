"""Which layers of a network can be quantised, to how many bits, and which cannot."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

import numpy as np
from torch import nn

from stillhouse.core.cost.origin import origin
from stillhouse.core.evaluate import Context, Student
from stillhouse.plugins.layers import naming
from stillhouse.plugins.layers.matrices import Part
from stillhouse.plugins.layers.matrices import sorted_out as matrices
from stillhouse.plugins.layers.naming import groups_of, own_value, plain_group

FULL: Final = 32
_ENDS: Final = frozenset({"front_end", "head"})


def sorted_out(network: nn.Module) -> tuple[dict[str, Part], dict[str, str]]:
    """The layers by name, in order; and by name why the network's other weights stay."""
    layers, others = matrices(network, grouped=True)
    return {name: layer.part for name, layer in layers.items()}, others


def bits_of(group: str, values: Mapping[str, Any]) -> Any:
    """Bits of a group's layers among parameters, or columns of them."""
    if (own := own_value(group, values)) is not None:
        return own
    bits = values["bits"]
    return np.where(np.equal(bits, 4), 8, bits) if group in _ENDS else bits


def plan(student: Student, params: Any, context: Context) -> dict[str, int]:
    """The bits of each layer that is quantised, by name."""
    groups = groups_of(student, context)
    found = {}
    for name, part in sorted_out(student.module)[0].items():
        plain = origin(name, groups)
        group = groups[plain] if plain else plain_group(part)
        bits = int(bits_of(group, vars(params)))
        if bits != FULL and matches(name, params.layers):
            found[name] = bits
    return found


def matches(name: str, patterns: str) -> bool:
    """Whether `layers` names a layer, or something that holds it."""
    return naming.matches(name, patterns, lineage)


def unmatched(names: Collection[str], patterns: str) -> list[str]:
    """The patterns that stand for none of the names."""
    return naming.unmatched(names, patterns, lineage)


def lineage(name: str) -> Iterator[str]:
    """A dotted name and the modules it lies in, innermost first."""
    while name:
        yield name
        name = name.rpartition(".")[0]
