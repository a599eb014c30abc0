"""Fresh: the student section's network as it is, with weights that nothing has trained."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

import numpy as np
import torch

from stillhouse.core.cost.sheet import OperatorSheet
from stillhouse.core.evaluate import Artefact, Choice, Context, Method, State, Student

if TYPE_CHECKING:
    from stillhouse.core.space import Columns


@final
class Fresh(Method):
    """Starts every candidate from the full student with fresh weights, for `distil` to train."""

    def apply(self, state: State, choice: Choice, artefact: Artefact, context: Context) -> State:
        return state.with_student(_network(context, context.seed("fresh", "weights")))

    def skeleton(self, student: Student | None, choice: Choice, context: Context) -> Student:
        return _network(context, 0)

    def sheet(self, sheet: OperatorSheet, columns: Columns, context: Context) -> OperatorSheet:
        """The one network's costs, for every candidate."""
        family = context.family
        counted = family.sheet(context.full, family.columns([context.full]))
        return counted.take(np.zeros(sheet.candidates, dtype=np.int64))


def _network(context: Context, seed: int) -> Student:
    module = context.family.build(context.full, torch.Generator().manual_seed(seed))
    return Student(context.family.name, context.full, module.eval())
