"""What cannot be factorised is refused by name before anything is trained."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from stillhouse.core.cost.terms import parameters
from stillhouse.core.errors import UserError
from stillhouse.core.evaluate import Choice, Context, Method, Student
from stillhouse.plugins.factorize.factors import cut, factorised
from stillhouse.plugins.layers.matrices import sorted_out
from stillhouse.plugins.layers.naming import matches, shortened, unmatched


def refuse(method: Method, choice: Choice, context: Context) -> None:
    """Raise UserError for patterns, networks and sheets that the method cannot work with."""
    network = context.family.build(context.full, torch.Generator().manual_seed(0)).eval()
    _refuse_patterns(network, choice.params.layers)
    _refuse_readers(network, choice.params.layers, context.task.example(1))
    _refuse_sheet(method, Student(context.family.name, context.full, network), choice, context)


def _refuse_patterns(network: nn.Module, patterns: str) -> None:
    layers, whole = sorted_out(network)
    if not (missing := unmatched(layers, patterns)):
        return
    named = [f"'{name}': {why}" for name, why in whole.items() if matches(name, missing[0])]
    said = f"; {'; '.join(named[:3])}" if named else ""
    raise UserError(
        f"factorize: layers: '{missing[0]}' names no layer that can be factorised{said}; expected "
        f"patterns over {shortened(layers)}"
    )


def _refuse_readers(network: nn.Module, patterns: str, example: Tensor) -> None:
    """Run the network with every layer factorised, and where that fails with each alone."""
    named = [name for name in sorted_out(network)[0] if matches(name, patterns)]
    called = _called(network, named, example)
    if called is None or _runs(network, called, example):
        return
    culprits = [name for name in called if not _runs(network, [name], example)]
    raise UserError(
        f"factorize: the network around {shortened(culprits)} reads the layer itself and does not "
        f"only call it, so that two layers cannot take its place; leave it out: layers: "
        f"'{', '.join([patterns, *(f'!{name}' for name in culprits)])}'"
    )


def _called(network: nn.Module, names: Iterable[str], example: Tensor) -> list[str] | None:
    """Those of the layers that a run calls; None where the network does not run at all."""
    layers, _ = sorted_out(network)
    parts = {name: layers[name].part for name in names}
    return _ran(network, dict(parts), example)


def _runs(network: nn.Module, names: Iterable[str], example: Tensor) -> bool:
    """Whether a run calls both halves of every layer, once they are two of rank 1."""
    thin = factorised(network, dict.fromkeys(names, 1), cut)
    halves = {half: thin.get_submodule(half) for n in names for half in (f"{n}.0", f"{n}.1")}
    return _ran(thin, halves, example) == list(halves)


def _ran(network: nn.Module, parts: dict[str, nn.Module], example: Tensor) -> list[str] | None:
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
            f"factorize: expected the operator sheet of {family.name} to call its rows like the "
            f"layers they stand for; it counts {counted:.0f} parameters, the factorised network "
            f"has {built}; use another model family, or choose fewer layers"
        )
