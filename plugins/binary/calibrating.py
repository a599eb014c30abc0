"""Where a layer's inputs lie: what thresholds and first weights are made of."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Final, Self, final

import torch
from torch import Tensor, nn

from stillhouse.core.evaluate import Split
from stillhouse.plugins.layers.matrices import Layer

_BATCH: Final = 64
_NORMAL: Final = math.sqrt(2 / math.pi)
"""Mean distance from the mean in standard deviations, of a normal distribution."""


@final
@dataclass(frozen=True, eq=False)
class Inputs:
    """Mean and mean distance from it of each input channel, (channels,) each.

    A sign cut at the mean and multiplied by the distance is what x less its mean is nearest to.
    """

    mean: Tensor
    distance: Tensor

    @classmethod
    def unknown(cls, channels: int, like: Tensor) -> Self:
        return cls(like.new_zeros(channels), like.new_ones(channels))


@final
class _Moments:
    def __init__(self, layer: Layer) -> None:
        self._channels_first = isinstance(layer.part, (nn.Conv1d, nn.Conv2d))
        self._count, self._sums = 0, torch.zeros(())

    def see(self, _module: nn.Module, given: tuple[Any, ...]) -> None:
        rows = given[0].movedim(1, -1) if self._channels_first else given[0]
        rows = rows.flatten(0, -2).double()
        self._count += len(rows)
        self._sums = self._sums + torch.stack([rows.sum(0), rows.square().sum(0)])

    def found(self, like: Tensor) -> Inputs | None:
        if not self._count:
            return None
        mean, square = self._sums / self._count
        deviation = (square - mean.square()).clamp(min=0).sqrt()
        return Inputs(mean.to(like.dtype), (_NORMAL * deviation).to(like.dtype))


def seen(
    network: nn.Module, layers: Mapping[str, Layer], split: Split, samples: int, seed: int
) -> dict[str, Inputs]:
    """What each layer is given for so many samples of a split, in the order of the seed.

    The network, in eval mode, is run once over them. Layers that no run calls are left out.
    """
    moments = {name: _Moments(layer) for name, layer in layers.items()}
    home = next(network.parameters()).device
    with ExitStack() as stack, torch.no_grad():
        for name, layer in layers.items():
            handle = layer.part.register_forward_pre_hook(moments[name].see)
            stack.callback(handle.remove)
        for inputs in _inputs(split, samples, seed):
            network(inputs.to(home))
    found = {name: moments[name].found(layer.weight) for name, layer in layers.items()}
    return {name: inputs for name, inputs in found.items() if inputs is not None}


def _inputs(split: Split, samples: int, seed: int) -> Iterator[Tensor]:
    left = min(samples, len(split))
    for batch in split.batches(_BATCH, seed):
        if left <= 0:
            return
        yield batch.inputs[:left]
        left -= len(batch.inputs)
