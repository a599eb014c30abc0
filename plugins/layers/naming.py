"""What run files call layers: by group of the sheet's rows, and by patterns over names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any, Final

import numpy as np
from torch import nn

from stillhouse.core.evaluate import Context, Student

Known = Callable[[str], Iterable[str]]
"""From a layer's name to all the names that patterns may know it by."""
PARAMETERS: Final[Mapping[str, str]] = {
    "attention_projections": "attention",
    "feed_forward": "feed_forward",
    "convolution": "convolution",
    "front_end": "front_end",
    "head": "head",
}
"""By the group of a sheet's row, the parameter that is for it."""


def own_value(group: str, values: Mapping[str, Any]) -> Any:
    """A group's own value among parameters or columns of them; None where it was left out."""
    own = values.get(PARAMETERS.get(group, ""))
    return None if isinstance(own, np.ndarray) and own.dtype == object else own


def groups_of(student: Student, context: Context) -> dict[str, str]:
    """The groups of the rows of the student as its family builds it, by name."""
    family = context.family
    sheet = family.sheet(student.structure, family.columns([student.structure]))
    return {row.name: row.group for row in sheet.rows}


def plain_group(part: nn.Module) -> str:
    """The group of a layer that no row of the family stands for."""
    return "convolution" if isinstance(part, (nn.Conv1d, nn.Conv2d)) else "linear"


def alone(name: str) -> Iterable[str]:
    """A layer known by its own name."""
    return (name,)


def matches(name: str, patterns: str, known: Known = alone) -> bool:
    """Whether `layers` names a layer: patterns with commas between, ! before those left out."""
    given = _split(patterns)
    left_out = [p[1:].strip() for p in given if p.startswith("!")]
    named = [p for p in given if not p.startswith("!")] or ["*"]
    return _any(known(name), named) and not _any(known(name), left_out)


def unmatched(names: Iterable[str], patterns: str, known: Known = alone) -> list[str]:
    """The patterns that stand for none of the names."""
    every = [list(known(name)) for name in names]
    plain = {p: p.removeprefix("!").strip() for p in _split(patterns)}
    return [p for p, bare in plain.items() if not any(_any(n, [bare]) for n in every)]


def shortened(names: Iterable[str]) -> str:
    """The first six names in quotes, and how many more there are."""
    listed = [f"'{name}'" for name in names]
    return ", ".join(listed[:6]) + (f" and {len(listed) - 6} more" if len(listed) > 6 else "")


def _any(names: Iterable[str], patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, p) for p in patterns for name in names)


def _split(patterns: str) -> list[str]:
    return [p.strip() for p in patterns.split(",") if p.strip()]
