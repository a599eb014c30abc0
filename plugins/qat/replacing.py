"""A network with quantised layers in the places of plain ones."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

import torch
from torch import Tensor, nn

from stillhouse.core.elastic import SelfAttention
from stillhouse.core.evaluate import Split
from stillhouse.plugins.layers.matrices import Part, module_name
from stillhouse.plugins.qat.finding import sorted_out
from stillhouse.plugins.qat.layers import (
    QuantisedAttention,
    QuantisedConvolution,
    QuantisedLinear,
)
from stillhouse.plugins.qat.quantisers import Range

_BATCH: Final = 64


def quantised(
    network: nn.Module, bits: Mapping[str, int], activations: bool, closing: Sequence[str]
) -> nn.Module:
    """A copy, in eval mode, in which the named layers have so many bits.

    After the modules of `closing` what they answer is rounded too.
    """
    copied = copy.deepcopy(network)
    layers, _ = sorted_out(copied)
    for name, wanted in bits.items():
        part = layers[name]
        copied.set_submodule(module_name(name, part), _twin(part, wanted, activations))
    for name in closing:
        last = copied.get_submodule(name)
        if isinstance(last, QuantisedConvolution):
            last.leaving = Range()
        else:
            copied.set_submodule(name, nn.Sequential(last, Range()))
    return copied.eval()


def _twin(part: Part, bits: int, activations: bool) -> nn.Module:
    if isinstance(part, SelfAttention):
        return QuantisedAttention(part, bits, activations)
    if isinstance(part, nn.Linear):
        return QuantisedLinear(part, bits, activations)
    return QuantisedConvolution(part, bits, activations)


def calibrate(network: nn.Module, batches: Iterable[Tensor]) -> None:
    """Set every range to what passes while the network, in eval mode, sees the inputs.

    Weights are rounded meanwhile, activations are not.
    """
    ranges = [part for part in network.modules() if isinstance(part, Range)]
    if not ranges:
        return
    home = next(network.parameters()).device
    for part in ranges:
        part.watch()
    try:
        with torch.no_grad():
            for inputs in batches:
                network(inputs.to(home))
    finally:
        for part in ranges:
            part.settle()


def first(split: Split, samples: int, seed: int) -> Iterator[Tensor]:
    """So many inputs of a split, in the order that the seed gives, in batches."""
    left = min(samples, len(split))
    for batch in split.batches(_BATCH, seed):
        yield batch.inputs[:left]
        left -= len(batch.inputs)
        if left <= 0:
            return
