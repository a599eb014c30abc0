"""Which layers of a network can be quantised, to how many bits, and which cannot."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any, Final

import numpy as np
from torch import nn

from stillhouse.core.cost.origin import origin
from stillhouse.core.elastic import SelfAttention
from stillhouse.core.evaluate import Context, Student

Part = nn.Linear | nn.Conv1d | nn.Conv2d | SelfAttention
QKV: Final = "qkv"
"""What query, key and value of an attention are called together, as in operator sheets."""
FULL: Final = 32
_KINDS: Final = (nn.Linear, nn.Conv1d, nn.Conv2d, SelfAttention)
"""Exactly these: what a subclass does with its weight is not known."""
_ENDS: Final = frozenset({"front_end", "head"})
_PARAMETERS: Final[Mapping[str, str]] = {
    "attention_projections": "attention",
    "feed_forward": "feed_forward",
    "convolution": "convolution",
    "front_end": "front_end",
    "head": "head",
}
"""By the group of a sheet's row, the parameter that holds its bits."""


def sorted_out(network: nn.Module) -> tuple[dict[str, Part], dict[str, str]]:
    """The layers by name, in order; and by name why the network's other weights stay."""
    layers: dict[str, Part] = {}
    others: dict[str, str] = {}
    parts = network.named_modules(remove_duplicate=False)
    uses = Counter(id(w) for _, part in parts for w in part.parameters(recurse=False))
    for name, part in network.named_modules():
        if (reason := _reason(name, part, uses)) is not None:
            others[name] = reason
        elif isinstance(part, SelfAttention):
            layers[f"{name}.{QKV}"] = part
        elif isinstance(part, _KINDS):
            layers[name] = part
    return layers, others


def _reason(name: str, part: nn.Module, uses: Mapping[int, int]) -> str | None:
    """Why a module's own weights stay; None where they need not, or there are none."""
    own = dict(part.named_parameters(recurse=False))
    if type(part) not in _KINDS:
        holds = isinstance(part, _KINDS) or any(weight.ndim > 1 for weight in own.values())
        return f"it is of the kind {type(part).__name__}" if holds else None
    if not name:
        return "it is the network itself"
    if not own.keys() & {"weight", "qkv_weight"}:
        return "its weight is no parameter of its own"
    if any(uses[id(weight)] > 1 for weight in own.values()):
        return "another module shares its weights"
    return None


def module_name(layer: str, part: Part) -> str:
    """Name of the module that holds a layer: of an attention's projections the attention's."""
    return layer.removesuffix(f".{QKV}") if isinstance(part, SelfAttention) else layer


def bits_of(group: str, values: Mapping[str, Any]) -> Any:
    """Bits of a group's layers among parameters, or columns of them."""
    own = values.get(_PARAMETERS.get(group, ""))
    missing = own is None or (isinstance(own, np.ndarray) and own.dtype == object)
    if not missing:
        return own
    bits = values["bits"]
    return np.where(np.equal(bits, 4), 8, bits) if group in _ENDS else bits


def plan(student: Student, params: Any, context: Context) -> dict[str, int]:
    """The bits of each layer that is quantised, by name."""
    groups = _groups(student, context)
    found = {}
    for name, part in sorted_out(student.module)[0].items():
        plain = origin(name, groups)
        group = groups[plain] if plain else _plain_group(part)
        bits = int(bits_of(group, vars(params)))
        if bits != FULL and matches(name, params.layers):
            found[name] = bits
    return found


def matches(name: str, patterns: str) -> bool:
    """Whether `layers` names a layer, or something that holds it."""
    given = _split(patterns)
    left_out = [p[1:].strip() for p in given if p.startswith("!")]
    named = [p for p in given if not p.startswith("!")] or ["*"]
    return _any(name, named) and not _any(name, left_out)


def unmatched(names: Collection[str], patterns: str) -> list[str]:
    """The patterns that stand for none of the names."""
    plain = {p: p.removeprefix("!").strip() for p in _split(patterns)}
    return [p for p, bare in plain.items() if not any(_any(n, [bare]) for n in names)]


def lineage(name: str) -> Iterator[str]:
    """A dotted name and the modules it lies in, innermost first."""
    while name:
        yield name
        name = name.rpartition(".")[0]


def _any(name: str, patterns: Collection[str]) -> bool:
    return any(fnmatchcase(n, p) for n in lineage(name) for p in patterns)


def _groups(student: Student, context: Context) -> dict[str, str]:
    family = context.family
    sheet = family.sheet(student.structure, family.columns([student.structure]))
    return {row.name: row.group for row in sheet.rows}


def _plain_group(part: Part) -> str:
    return "convolution" if isinstance(part, (nn.Conv1d, nn.Conv2d)) else "linear"


def _split(patterns: str) -> list[str]:
    return [p.strip() for p in patterns.split(",") if p.strip()]
