"""How many samples leave at an exit of one network."""

from __future__ import annotations

from typing import Any

import numpy as np

from stillhouse.core.cost.sheet import OperatorSheet
from stillhouse.core.cost.tracing import traced
from stillhouse.core.errors import UserError
from stillhouse.core.evaluate import Context, Student
from stillhouse.plugins.dynamic.exit_rows import Shape
from stillhouse.plugins.dynamic.forming import pool_of
from stillhouse.plugins.dynamic.sheet import leaving_of


def share_of(student: Student, params: Any, context: Context) -> float:
    """Of the samples that reach an exit: `leave`, or what the expected `cost` asks for.

    Raises `UserError` where a cost is given for a network that cannot be counted.
    """
    if params.cost is None:
        return float(params.leave)
    try:
        sheet = OperatorSheet(1, traced(student.module, context.task.example(1)))
    except ValueError as error:
        raise UserError(
            f"early-exit: cost: expected a network whose multiply-accumulates can be counted: "
            f"{error}; give leave instead"
        ) from error
    columns = {name: np.array([value], object) for name, value in vars(params).items()}
    shape = Shape(context.task.outputs, pool_of(context))
    taps = tuple(context.family.taps(student.structure))
    return float(leaving_of(sheet, columns, taps, shape)[0])
