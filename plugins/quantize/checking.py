"""What cannot be quantised is refused by name before anything is trained."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import onnx
import torch
from torch import nn

from stillhouse.core.cost.kinds import KINDS
from stillhouse.core.cost.sheet import OperatorSheet
from stillhouse.core.errors import UserError
from stillhouse.core.evaluate import Choice, Context, Method, Student
from stillhouse.plugins.layers.naming import shortened, unmatched
from stillhouse.plugins.quantize.layers import NONE, known_layers

_INTEGERS: Final = frozenset({onnx.TensorProto.INT8, onnx.TensorProto.UINT8})


def refuse(method: Method, choice: Choice, context: Context) -> None:
    """Raise UserError for patterns, targets, networks and sheets that cannot work."""
    network = context.family.build(context.full, torch.Generator().manual_seed(0)).eval()
    student = Student(context.family.name, context.full, network)
    _refuse_patterns(student, choice.params.layers, context)
    changed = method.skeleton(student, choice, context)
    if changed is not None and changed is not student:
        _refuse_sheet(method, changed.module, student, choice, context)


def _refuse_patterns(student: Student, patterns: str, context: Context) -> None:
    known = known_layers(student, context)
    if missing := unmatched(known, patterns):
        raise UserError(
            f"int8: layers: '{missing[0]}' names no layer that can be quantised; expected patterns "
            f"over {shortened(known)}"
        )


def _refuse_sheet(
    method: Method, module: nn.Module, student: Student, choice: Choice, context: Context
) -> None:
    """Raise where a family's rows are not called like its layers: costs would be wrong."""
    columns: dict[str, Any] = {
        name: np.array([value], object if isinstance(value, (str, type(None))) else float)
        for name, value in vars(choice.params).items()
    }
    family = context.family
    plain = family.sheet(student.structure, family.columns([student.structure]))
    counted = integers_counted(method.sheet(plain, columns, context))
    graph = module.get_buffer("graph") if module.state_dict() else None
    held = 0 if graph is None else integers_held(onnx.load_from_string(graph.numpy().tobytes()))
    if counted != held:
        raise UserError(
            f"int8: expected the operator sheet of {family.name} to call its rows like the layers "
            f"they stand for; it counts {counted:.0f} weights of 8 bits, the quantised network has "
            f"{held}; use another model family, or scheme: {NONE}"
        )


def integers_counted(sheet: OperatorSheet) -> float:
    """Weights of 8 bits that the sheet's one candidate has."""
    rows = (row for row in sheet.rows if np.all(np.equal(row["weight_bits"], 8)))
    return float(sum(np.sum(KINDS[row.kind].weights(row) * row["active"]) for row in rows))


def integers_held(model: onnx.ModelProto) -> int:
    """Weights of 8 bits in a graph; zero points are no matrices."""
    tensors = (c for c in model.graph.initializer if c.data_type in _INTEGERS)
    return sum(int(np.prod(tensor.dims)) for tensor in tensors if len(tensor.dims) > 1)
