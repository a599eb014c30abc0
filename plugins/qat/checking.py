"""What cannot be quantised is refused by name before anything is trained."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from stillhouse.core.elastic import SelfAttention
from stillhouse.core.errors import UserError
from stillhouse.core.evaluate import Choice, Context, Method, Student
from stillhouse.plugins.layers.matrices import QKV, module_name
from stillhouse.plugins.layers.naming import shortened
from stillhouse.plugins.layers.refusing import ran, refuse_patterns, refuse_sheet
from stillhouse.plugins.qat.finding import lineage, matches, sorted_out
from stillhouse.plugins.qat.replacing import quantised

_TRIED = 8


def refuse(method: Method, choice: Choice, context: Context) -> None:
    """Raise UserError for patterns, networks and sheets that the method cannot work with."""
    network = context.family.build(context.full, torch.Generator().manual_seed(0)).eval()
    _refuse_patterns(network, choice.params.layers)
    _refuse_readers(network, choice.params.layers, context.task.example(1))
    student = Student(context.family.name, context.full, network)
    refuse_sheet(method, student, choice, context, name="qat", made="quantised")


def _refuse_patterns(network: nn.Module, patterns: str) -> None:
    layers, others = sorted_out(network)
    if not layers:
        reasons = "; ".join(f"'{name}': {why}" for name, why in list(others.items())[:3])
        raise UserError(
            f"qat: the network has no layer that can be quantised ({reasons or 'no weights'}); "
            "expected linear layers, convolutions or attention; use another model family"
        )
    refuse_patterns(
        layers, others, patterns, method="qat", can="that can be quantised", known=lineage
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
    return ran(network, {name: layers[name] for name in names}, example)


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
    return ran(twin, steps, example) == list(steps)
