"""What cannot be binary is refused by name before anything is trained."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from stillhouse.core.cost.terms import parameters
from stillhouse.core.errors import UserError
from stillhouse.core.evaluate import Choice, Context, Method, Student
from stillhouse.plugins.binary.choosing import chosen, sorted_out
from stillhouse.plugins.binary.layer import BinaryLayer
from stillhouse.plugins.binary.replacing import binarised
from stillhouse.plugins.layers.naming import matches, shortened, unmatched


def refuse(method: Method, choice: Choice, context: Context) -> None:
    """Raise UserError for patterns, networks and sheets that the method cannot work with."""
    network = context.family.build(context.full, torch.Generator().manual_seed(0)).eval()
    _refuse_patterns(network, choice.params.layers)
    student = Student(context.family.name, context.full, network)
    _refuse_readers(student, choice, context)
    _refuse_sheet(method, student, choice, context)


def _refuse_patterns(network: nn.Module, patterns: str) -> None:
    layers, real = sorted_out(network)
    if not (missing := unmatched(layers, patterns)):
        return
    why = [f"'{name}': {why}" for name, why in real.items() if matches(name, missing[0])]
    said = f"; {'; '.join(why[:3])}" if why else ""
    raise UserError(
        f"binary: layers: '{missing[0]}' names no layer that can be binary{said}; expected "
        f"patterns over {shortened(layers)}"
    )


def _refuse_readers(student: Student, choice: Choice, context: Context) -> None:
    """Run the network with every chosen layer binary, and where that fails with each alone."""
    names, example = chosen(student, choice.params, context), context.task.example(1)
    if _runs(student.module, names, example) or not _runs(student.module, [], example):
        return
    culprits = [name for name in names if not _runs(student.module, [name], example)]
    left_out = ", ".join([choice.params.layers, *(f"!{name}" for name in culprits)])
    raise UserError(
        f"binary: the network around {shortened(culprits)} reads the layer itself and does not "
        f"only call it, so that a binary one cannot take its place; leave it out: layers: "
        f"'{left_out}'"
    )


def _runs(network: nn.Module, names: Iterable[str], example: Tensor) -> bool:
    """Whether a run with the layers binary ends, and calls each of them."""
    changed = binarised(network, list(names), 1.0, True)
    waiting = {name for name, part in changed.named_modules() if isinstance(part, BinaryLayer)}
    called = _called_of(network, example)
    for name in list(waiting):
        part = changed.get_submodule(name)
        part.register_forward_hook(lambda *_, n=name: waiting.discard(n))
    try:
        with torch.no_grad():
            changed(example)
    except Exception:  # modules raise whatever they like
        return False
    return not waiting & called


def _called_of(network: nn.Module, example: Tensor) -> set[str]:
    """Names of the layers that a run of the real network calls; none where it does not run."""
    layers, called = sorted_out(network)[0], set[str]()
    handles = [
        layer.part.register_forward_hook(lambda *_, n=name: called.add(n))
        for name, layer in layers.items()
    ]
    try:
        with torch.no_grad():
            network(example)
    except Exception:  # as above
        return set()
    finally:
        for handle in handles:
            handle.remove()
    return called


def _refuse_sheet(method: Method, student: Student, choice: Choice, context: Context) -> None:
    """Raise where a family's rows are not called like its layers: costs would be wrong."""
    columns: Mapping[str, Any] = {
        name: np.array([value], object if isinstance(value, str) else float)
        for name, value in vars(choice.params).items()
    }
    family = context.family
    plain = family.sheet(student.structure, family.columns([student.structure]))
    counted = float(parameters(method.sheet(plain, columns, context))[0])
    changed = method.skeleton(student, choice, context) or student
    built = sum(weight.numel() for weight in changed.module.parameters())
    if counted != built:
        raise UserError(
            f"binary: expected the operator sheet of {family.name} to call its rows like the "
            f"layers they stand for; it counts {counted:.0f} parameters, the binary network has "
            f"{built}; use another model family, or choose fewer layers"
        )
