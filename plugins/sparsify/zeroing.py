"""Networks whose least important weights are zeros."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Any, Final, final

import torch
from torch import Tensor, nn

from stillhouse.core.evaluate import Split
from stillhouse.plugins.layers.matrices import Layer, sorted_out

_BATCH: Final = 64
Sizes = Mapping[str, Tensor]
"""By the name of a layer, the root mean square of each input that it reads: (inputs times kernel,).

A kernel's entries that read one channel share that channel's."""


def zeroed(
    network: nn.Module, zeros: Mapping[str, int], among: str, sizes: Sizes | None = None
) -> nn.Module:
    """A copy in eval mode; the least important of the named layers' weights are 0.

    Important are large weights, or with `sizes` large products of weight and input.
    """
    copied = copy.deepcopy(network)
    layers, _ = sorted_out(copied)
    with torch.no_grad():
        for name, number in zeros.items():
            layer = layers[name]
            scores = layer.matrix.abs()
            scores = scores if sizes is None else scores * sizes[name].to(scores)
            gone = least(scores, number, among).reshape(layer.weight.shape)
            layer.weight.masked_fill_(gone, 0.0)
    return copied.eval()


def least(scores: Tensor, number: int, among: str) -> Tensor:
    """Where the smallest of (outputs, entries) scores are: as many, of equals the earlier ones.

    Among `output`, each output has as many.
    """
    groups = scores if among == "output" else scores.reshape(1, -1)
    order = groups.argsort(dim=1, stable=True)[:, : number // len(groups)]
    return torch.zeros_like(groups, dtype=torch.bool).scatter_(1, order, True).view_as(scores)


def input_sizes(
    network: nn.Module, names: Mapping[str, int], split: Split, samples: int, seed: int
) -> dict[str, Tensor]:
    """The inputs' sizes on so many samples of a split, in the order that the seed gives.

    The network, in eval mode, is run once over them and stays as it is.
    """
    layers, _ = sorted_out(network)
    squares = {name: Squares(layers[name]) for name in names}
    home = next(network.parameters()).device
    with ExitStack() as stack, torch.no_grad():
        for name, seen in squares.items():
            handle = layers[name].part.register_forward_pre_hook(seen)
            stack.callback(handle.remove)
        for inputs in _inputs(split, samples, seed):
            network(inputs.to(home))
    return {name: seen.root() for name, seen in squares.items()}


@final
class Squares:
    """A hook that gathers the mean squares of what a layer reads."""

    def __init__(self, layer: Layer) -> None:
        self._convolves = isinstance(layer.part, (nn.Conv1d, nn.Conv2d))
        self._kernel = int(layer.weight[0, 0].numel()) if self._convolves else 1
        self._sum: Tensor | float = 0.0
        self._count = 0

    def __call__(self, _module: nn.Module, inputs: tuple[Any, ...]) -> None:
        seen = inputs[0].movedim(1, -1) if self._convolves else inputs[0]
        rows = seen.flatten(0, -2).double()
        self._sum, self._count = self._sum + rows.square().sum(0), self._count + len(rows)

    def root(self) -> Tensor:
        """(inputs times kernel,)."""
        mean = torch.as_tensor(self._sum) / self._count
        return mean.sqrt().repeat_interleave(self._kernel)


def _inputs(split: Split, samples: int, seed: int) -> Iterator[Tensor]:
    left = min(samples, len(split))
    for batch in split.batches(_BATCH, seed):
        yield batch.inputs[:left]
        left -= len(batch.inputs)
        if left <= 0:
            return
