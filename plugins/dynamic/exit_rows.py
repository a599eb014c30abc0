"""The operators of one exit as rows of the operator sheet."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from stillhouse.core.cost.sheet import Cells, Operator, OperatorKind
from stillhouse.plugins.dynamic.heads import Pool
from stillhouse.plugins.dynamic.placing import HEADS, Flags, key_of


@dataclass(frozen=True)
class Shape:
    """What decides an exit's rows beside the features that it reads."""

    classes: int
    pool: Pool


@dataclass(frozen=True, eq=False)
class Feature:
    """What a block gives, each (candidates,): positions, width, and elements alive after it."""

    positions: Cells
    width: Cells
    alive: Cells


def exit_rows(
    block: str, active: Flags, feature: Feature, shape: Shape, criteria: Any
) -> Iterator[Operator]:
    """Rows of the exit after a block, active for some of the candidates.

    `criteria` holds the name of each candidate's rule. What is alive after the block stays alive.
    """
    there, classes = active.astype(np.float64), float(shape.classes)
    width, held = np.where(active, feature.width, 1.0), feature.alive

    def row(part: str, kind: OperatorKind, group: str, **cells: Cells | float) -> Operator:
        name = f"{HEADS}.{key_of(block)}.{part}"
        return Operator(name, kind, group, {"active": there, "held": held, **cells})

    if shape.pool == "mean":
        beside = np.maximum(held - feature.positions * width, 0)
        yield row("mean", "elementwise", "head", outputs=width,
                  read_positions=feature.positions, held=beside)  # fmt: skip
    yield row("norm", "norm", "norm", outputs=width, bias=1)
    yield row("linear", "linear", "head", inputs=width, outputs=classes, bias=1)
    for criterion, steps in _RULES.items():
        own = there * np.equal(np.asarray(criteria, object), criterion)
        for step, (wide, read) in enumerate(steps if own.any() else ()):
            yield row(f"{criterion}.{step}", "elementwise", "head", active=own,
                      outputs=classes if wide else 1.0, read_positions=read(classes))  # fmt: skip


def _same(_classes: float) -> float:
    return 0.0


_SORTED: Final = ((True, _same), (True, _same), (False, lambda classes: classes - 1))
_RULES: Final[Mapping[str, Sequence[tuple[bool, Callable[[float], float]]]]] = {
    "entropy": (
        (True, _same), (True, _same), (True, lambda _: 2.0), (False, lambda classes: classes),
        (False, _same),
    ),
    "max-probability": _SORTED,
    "margin": (*_SORTED, (False, lambda _: 2.0)),
}  # fmt: skip
"""Operators of each rule in order: whether they write one number a class or one in all, and from
the number of classes the positions that they read, 0 where as many as they write."""
