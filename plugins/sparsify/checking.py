"""What cannot be made sparse is refused by name before anything is trained."""

from __future__ import annotations

import numpy as np
import torch

from stillhouse.core.cost.kinds import KINDS
from stillhouse.core.errors import UserError
from stillhouse.core.evaluate import Choice, Context, Method, Student
from stillhouse.plugins.layers.matrices import sorted_out
from stillhouse.plugins.layers.refusing import as_columns, refuse_patterns
from stillhouse.plugins.sparsify.counting import counts


def refuse(method: Method, choice: Choice, context: Context) -> None:
    """Raise UserError for patterns and sheets that the method cannot work with."""
    network = context.family.build(context.full, torch.Generator().manual_seed(0)).eval()
    layers, whole = sorted_out(network)
    patterns, can = choice.params.layers, "whose weights can become zeros"
    refuse_patterns(layers, whole, patterns, method="sparsify", can=can)
    _refuse_sheet(method, Student(context.family.name, context.full, network), choice, context)


def _refuse_sheet(method: Method, student: Student, choice: Choice, context: Context) -> None:
    """Raise where a family's rows are not called like its layers: costs would be wrong."""
    family = context.family
    plain = family.sheet(student.structure, family.columns([student.structure]))
    sparse = method.sheet(plain, as_columns(choice.params), context)
    counted = sum(
        float(np.sum(row["active"] * KINDS[row.kind].weights(row) * (1 - row["density"])))
        for row in sparse.rows
    )
    made = sum(counts(student, choice.params, context).values())
    if round(counted) != made:
        raise UserError(
            f"sparsify: expected the operator sheet of {family.name} to call its rows like the "
            f"layers they stand for; it counts {counted:.0f} zeros, the network would have {made}; "
            "use another model family, or choose fewer layers"
        )
