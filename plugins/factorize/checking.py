"""What cannot be factorised is refused by name before anything is trained."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from stillhouse.core.errors import UserError
from stillhouse.core.evaluate import Choice, Context, Method, Student
from stillhouse.plugins.factorize.factors import cut, factorised
from stillhouse.plugins.layers.matrices import sorted_out
from stillhouse.plugins.layers.naming import matches, shortened
from stillhouse.plugins.layers.refusing import ran, refuse_patterns, refuse_sheet


def refuse(method: Method, choice: Choice, context: Context) -> None:
    """Raise UserError for patterns, networks and sheets that the method cannot work with."""
    network = context.family.build(context.full, torch.Generator().manual_seed(0)).eval()
    layers, whole = sorted_out(network)
    patterns = choice.params.layers
    refuse_patterns(layers, whole, patterns, method="factorize", can="that can be factorised")
    _refuse_readers(network, choice.params.layers, context.task.example(1))
    student = Student(context.family.name, context.full, network)
    refuse_sheet(method, student, choice, context, name="factorize", made="factorised")


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
    return ran(network, parts, example)


def _runs(network: nn.Module, names: Iterable[str], example: Tensor) -> bool:
    """Whether a run calls both halves of every layer, once they are two of rank 1."""
    thin = factorised(network, dict.fromkeys(names, 1), cut)
    halves = {half: thin.get_submodule(half) for n in names for half in (f"{n}.0", f"{n}.1")}
    return ran(thin, halves, example) == list(halves)
