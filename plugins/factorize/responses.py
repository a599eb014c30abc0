"""How strongly layers answer to real inputs, direction by direction."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from stillhouse.core.evaluate import Split
from stillhouse.plugins.factorize.factors import Spectrum, reduction
from stillhouse.plugins.factorize.pairs import inner_convolution
from stillhouse.plugins.layers.matrices import Layer

_BATCH: Final = 64


def spectra(
    network: nn.Module, layers: Mapping[str, Layer], split: Split, samples: int, seed: int
) -> dict[str, Spectrum]:
    """Each layer's answers to so many samples of a split, in the order that the seed gives.

    The network, in eval mode, is run once over them. With 0 samples all directions count alike.
    """
    if samples == 0:
        return {name: Spectrum.of(layer) for name, layer in layers.items()}
    reduced = {name: reduction(layer) for name, layer in layers.items()}
    moments = {
        name: matrix.new_zeros(2 * matrix.shape[:1]) for name, (_, matrix) in reduced.items()
    }
    home = next(network.parameters()).device
    with ExitStack() as stack, torch.no_grad():
        for name, layer in layers.items():
            stack.enter_context(_watched(layer, reduced[name][1], moments[name]))
        for inputs in _inputs(split, samples, seed):
            network(inputs.to(home))
    return {name: Spectrum(*reduced[name], moments[name]) for name in layers}


def _inputs(split: Split, samples: int, seed: int) -> Iterator[Tensor]:
    left = min(samples, len(split))
    for batch in split.batches(_BATCH, seed):
        yield batch.inputs[:left]
        left -= len(batch.inputs)
        if left <= 0:
            return


@contextmanager
def _watched(layer: Layer, reduced: Tensor, moment: Tensor) -> Iterator[None]:
    answer = _answering(layer, reduced)

    def seen(_module: nn.Module, inputs: tuple[Any, ...]) -> None:
        rows = answer(inputs[0]).double()
        moment.addmm_(rows.T, rows)

    handle = layer.part.register_forward_pre_hook(seen)
    try:
        yield
    finally:
        handle.remove()


def _answering(layer: Layer, reduced: Tensor) -> Callable[[Tensor], Tensor]:
    """From a layer's input to `reduced` applied at every position: (positions, k)."""
    part, weight = layer.part, reduced.to(layer.weight.dtype)
    if not isinstance(part, (nn.Conv1d, nn.Conv2d)):
        return lambda x: functional.linear(x, weight).flatten(0, -2)
    convolution = inner_convolution(part, len(weight))
    convolution.weight = nn.Parameter(weight.reshape(convolution.weight.shape), False)
    return lambda x: convolution(x).movedim(1, -1).flatten(0, -2)
