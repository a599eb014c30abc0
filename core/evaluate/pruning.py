"""What of a family's networks can be taken out, in terms of the family's genes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.cost.sheet import OperatorSheet

if TYPE_CHECKING:
    from stillhouse.core.elastic.units import Axis as UnitAxis
    from stillhouse.core.space import Columns

Counts = NDArray[np.float64]


@final
@dataclass(frozen=True, eq=False)
class Axis:
    """A gene that decides how many units there are.

    Without `base` the gene is their number. With it they are the gene times the base that genes of
    candidates have: (candidates,) or (candidates, layers), as the gene's column.
    """

    kind: UnitAxis
    gene: str
    base: Callable[[Columns], Counts] | None = None


@final
@dataclass(frozen=True)
class Stack:
    """Layers of one kind after one another, the module list `name`.

    `depth` is the gene of their number and `genes` those that have a value for each. The first
    `fixed` cannot be taken out.
    """

    name: str
    depth: str
    genes: tuple[str, ...]
    fixed: int = 0


@final
@dataclass(frozen=True, eq=False)
class Pruning:
    """Which genes decide how many units and layers there are; the same for every candidate.

    `genes` reads the genes of candidates back from the sheet that the family wrote for them, as
    `columns` gives them. `refused` says of kinds of units, and of "layers", why networks of the
    family keep them; those that it has not need no word.
    """

    axes: tuple[Axis, ...]
    stacks: tuple[Stack, ...]
    genes: Callable[[OperatorSheet], Columns]
    refused: Mapping[str, str] = field(default_factory=dict)
