"""What cannot be quantised is refused by name before anything is trained."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from stillhouse.core.cost.terms import parameters
from stillhouse.core.elastic import SelfAttention
from stillhouse.core.errors import UserError
from stillhouse.core.evaluate import Choice, Context, Method, Student
from stillhouse.plugins.layers.matrices import QKV, module_name
from stillhouse.plugins.layers.naming import shortened
from stillhouse.plugins.qat.finding import matches, sorted_out, unmatched
from stillhouse.plugins.qat.replacing import quantised

_TRIED = 8


def refuse(method: Method, choice: Choice, context: Context) -> None:
    """Raise UserError for patterns, networks and sheets that the method cannot work with."""
    network = context.family.build(context.full, torch.Generator().manual_seed(0)).eval()
    _refuse_patterns(network, choice.params.layers)
    _refuse_readers(network, choice.params.layers, context.task.example(1))
    _refuse_sheet(method, Student(context.family.name, context.full, network), choice, context)


def _refuse_patterns(network: nn.Module, patterns: str) -> None:
    layers, others = sorted_out(network)
    if not layers:
        reasons = "; ".join(f"'{name}': {why}" for name, why in list(others.items())[:3])
        raise UserError(
            f"qat: the network has no layer that can be quantised ({reasons or 'no weights'}); "
            "expected linear layers, convolutions or attention; use another model family"
        )
    if not (missing := unmatched(layers, patterns)):
        return
    named = [f"'{name}': {why}" for name, why in others.items() if matches(name, missing[0])]
    said = f"; {'; '.join(named[:3])}" if named else ""
    raise UserError(
        f"qat: layers: '{missing[0]}' names no layer that can be quantised{said}; expected "
        f"patterns over {shortened(layers)}"
    )


def _refuse_readers(network: nn.Module, patterns: str, example: Tensor) -> None:
    """Run the network with every layer quantised, and where that fails with each alone."""
    named = [name for name in sorted_out(network)[0] if matches(name, patterns)]
    called = _called(network, named, example)
    if called is None or _runs(network, called, example):
        return
    culprits = [name for name in called if not _runs(network, [name], example)]
    raise UserError(
        f"qat: the network around {shortened(culprits)} reads the layer itself and does not "
        f"only call it, so that another cannot take its place; leave it out: layers: "
        f"'{', '.join([patterns, *(f'!{name}' for name in culprits)])}'"
    )


def _called(network: nn.Module, names: Iterable[str], example: Tensor) -> list[str] | None:
    """Those of the layers that a run calls; None where the network does not run at all."""
    layers, _ = sorted_out(network)
    return _ran(network, {name: layers[name] for name in names}, example)


def _runs(network: nn.Module, names: Iterable[str], example: Tensor) -> bool:
    """Whether a run calls every layer's weights, once they are rounded."""
    twin = quantised(network, dict.fromkeys(names, _TRIED), True, [])
    layers, _ = sorted_out(network)
    steps = {}
    for name in names:
        holder = twin.get_submodule(module_name(name, layers[name]))
        attends = isinstance(layers[name], SelfAttention)
        inner = holder.get_submodule(QKV) if attends else holder
        steps[name] = inner.get_submodule("steps")
    return _ran(twin, steps, example) == list(steps)


def _ran(network: nn.Module, parts: dict[str, Any], example: Tensor) -> list[str] | None:
    ran: set[str] = set()
    handles = [
        part.register_forward_hook(lambda *_, n=name: ran.add(n)) for name, part in parts.items()
    ]
    try:
        with torch.no_grad():
            network(example)
    except Exception:  # modules raise whatever they like
        return None
    finally:
        for handle in handles:
            handle.remove()
    return [name for name in parts if name in ran]


def _refuse_sheet(method: Method, student: Student, choice: Choice, context: Context) -> None:
    """Raise where a family's rows are not called like its layers: costs would be wrong."""
    columns: dict[str, Any] = {
        name: np.array([value], object if isinstance(value, (str, type(None))) else float)
        for name, value in vars(choice.params).items()
    }
    family = context.family
    plain = family.sheet(student.structure, family.columns([student.structure]))
    counted = float(parameters(method.sheet(plain, columns, context))[0])
    changed = method.skeleton(student, choice, context) or student
    built = sum(weight.numel() for weight in changed.module.parameters())
    if counted != built:
        raise UserError(
            f"qat: expected the operator sheet of {family.name} to call its rows like the layers "
            f"they stand for; it counts {counted:.0f} parameters, the quantised network has "
            f"{built}; use another model family, or choose fewer layers"
        )
