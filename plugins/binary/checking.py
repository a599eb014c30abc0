"""What cannot be binary is refused by name before anything is trained."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from stillhouse.core.errors import UserError
from stillhouse.core.evaluate import Choice, Context, Method, Student
from stillhouse.plugins.binary.choosing import chosen, sorted_out
from stillhouse.plugins.binary.layer import BinaryLayer
from stillhouse.plugins.binary.replacing import binarised
from stillhouse.plugins.layers.naming import shortened
from stillhouse.plugins.layers.refusing import ran, refuse_patterns, refuse_sheet


def refuse(method: Method, choice: Choice, context: Context) -> None:
    """Raise UserError for patterns, networks and sheets that the method cannot work with."""
    network = context.family.build(context.full, torch.Generator().manual_seed(0)).eval()
    layers, real = sorted_out(network)
    patterns = choice.params.layers
    refuse_patterns(layers, real, patterns, method="binary", can="that can be binary")
    student = Student(context.family.name, context.full, network)
    _refuse_readers(student, choice, context)
    refuse_sheet(method, student, choice, context, name="binary", made="binary")


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
    return not waiting.intersection(called)


def _called_of(network: nn.Module, example: Tensor) -> list[str]:
    """Names of the layers that a run of the real network calls; none where it does not run."""
    layers, _ = sorted_out(network)
    return ran(network, {name: layer.part for name, layer in layers.items()}, example) or []
