"""How important every unit of a network is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Final

import torch
from torch import Tensor, nn

from stillhouse.core.elastic import ElasticLinear, Units
from stillhouse.core.evaluate import Batch, Context, ElasticModule, State
from stillhouse.core.evaluate.padding import real_positions

_BATCH: Final = 64
Scores = Mapping[str, Tensor]
"""By the name of `Units`, larger is more important: (units,)."""


def scores(elastic: ElasticModule, state: State, params: Any, context: Context) -> Scores:
    """Of all units of a network in eval mode, which stays as it is."""
    units = elastic.units()
    if params.importance == "magnitude":
        return {some.name: some.magnitude() for some in units}
    if params.importance == "random":
        return {some.name: _drawn(some, context.seed("prune", "lot", some.name)) for some in units}
    by_loss = params.importance == "taylor"
    found = {some.name: torch.zeros(len(some), dtype=torch.float64) for some in units}
    for batch in _batches(state, params.samples, context.seed("prune", "samples")):
        seen = (_slopes if by_loss else _sizes)(elastic, units, batch, context)
        for name, value in seen.items():
            found[name] += value.double().cpu()
    return found


def _drawn(units: Units, seed: int) -> Tensor:
    return torch.rand(len(units), generator=torch.Generator().manual_seed(seed))


def _batches(state: State, samples: int, seed: int) -> Iterator[Batch]:
    left = samples
    for batch in state.data.train.batches(_BATCH, seed):
        yield batch.rows(slice(0, left))
        left -= len(batch.targets)
        if left <= 0:
            return


def _slopes(
    elastic: ElasticModule, units: Sequence[Units], batch: Batch, context: Context
) -> dict[str, Tensor]:
    """What a batch's loss would change without each unit, to first order.

    Activation times gradient (Molchanov et al. 2019, arXiv:1906.10771, eq. 8: a gate on the unit),
    summed over a sample's positions and all readers; absolute of each sample, summed over samples.
    """
    batch = batch.to(str(next(elastic.parameters()).device))
    with torch.enable_grad(), _watched(units) as seen:
        loss = context.task.loss(elastic(batch.inputs), batch.targets)
        slopes = torch.autograd.grad(loss, list(seen.values()))
    pairs = zip(seen.items(), slopes, strict=True)
    products = {reader: (x * slope).detach() for (reader, x), slope in pairs}
    found = {}
    for some in units:
        gates = [_by_unit(products[r], r, some, len(batch.targets)) for r in some.readers]
        found[some.name] = torch.stack([gate.sum((1, 3)) for gate in gates]).sum(0).abs().sum(0)
    return found


def _sizes(
    elastic: ElasticModule, units: Sequence[Units], batch: Batch, context: Context
) -> dict[str, Tensor]:
    """The mean size of what readers meet of each unit, summed over samples; padding left out."""
    inputs = batch.inputs.to(next(elastic.parameters()).device)
    with torch.no_grad(), _watched(units) as seen:
        elastic(inputs)
    real = real_positions(elastic, inputs)
    found = {}
    for some in units:
        met = [_by_unit(seen[r].abs(), r, some, len(inputs)) for r in some.readers]
        found[some.name] = torch.stack([_mean(x, real) for x in met]).mean(0) * len(inputs)
    return found


def _mean(met: Tensor, real: Tensor | None) -> Tensor:
    """Over samples, positions and inputs of a unit: (units,)."""
    met = met.mean(3)
    if real is None or real.shape[1] != met.shape[1]:
        return met.mean((0, 1))
    weight = real.to(met.dtype)[..., None]
    return (met * weight).sum((0, 1)) / weight.sum().clamp(min=1)


def _by_unit(x: Tensor, reader: nn.Module, units: Units, samples: int) -> Tensor:
    """A reader's inputs as (samples, positions, units, inputs of one unit)."""
    last = x if isinstance(reader, (nn.Linear, ElasticLinear)) else x.movedim(1, -1)
    return last.reshape(samples, -1, len(units), units.repeat)


@contextmanager
def _watched(units: Sequence[Units]) -> Iterator[dict[nn.Module, Tensor]]:
    """What every reader is given: with gradient, each its own, so that paths are told apart."""
    seen: dict[nn.Module, Tensor] = {}

    def hook(reader: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        seen[reader] = inputs[0].view_as(inputs[0])
        return seen[reader], *inputs[1:]

    with ExitStack() as stack:
        for some in units:
            for reader in some.readers:
                stack.callback(reader.register_forward_pre_hook(hook).remove)
        yield seen
