"""Networks with binary layers in the place of real ones."""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping

import torch
from torch import nn

from stillhouse.core.elastic import SelfAttention
from stillhouse.plugins.binary.calibrating import Inputs
from stillhouse.plugins.binary.choosing import geometry, sorted_out
from stillhouse.plugins.binary.layer import BinaryLayer
from stillhouse.plugins.factorize.pairs import FactorisedAttention
from stillhouse.plugins.layers.matrices import Layer, module_name


def binarised(
    network: nn.Module,
    names: Collection[str],
    clip: float,
    scaled: bool,
    seen: Mapping[str, Inputs] | None = None,
) -> nn.Module:
    """A copy in which the named layers are binary; in eval mode.

    Their first weights are those of the real layer times the size of their inputs, where it is
    known. Raises KeyError for a name that is no such layer.
    """
    copied = copy.deepcopy(network)
    for name in names:
        layer = sorted_out(copied)[0][name]
        new: nn.Module = binary_layer(layer, clip, scaled, (seen or {}).get(name))
        if isinstance(layer.part, SelfAttention):
            new = FactorisedAttention(new, layer.part)
        copied.set_submodule(module_name(name, layer.part), new)
    return copied.eval()


@torch.no_grad()
def binary_layer(layer: Layer, clip: float, scaled: bool, seen: Inputs | None) -> BinaryLayer:
    """W x + b = W (x - m) + (W m + b), and x - m is nearest to its signs times its size."""
    shape = geometry(layer)
    weight = layer.matrix.reshape(shape.outputs, shape.inputs, -1)
    inputs = seen or Inputs.unknown(shape.inputs, layer.weight)
    latent = (weight * inputs.distance[:, None]).clamp(-clip, clip)
    bias = None if layer.bias is None else layer.bias + weight.sum(2) @ inputs.mean
    return BinaryLayer(shape, latent, inputs.mean.clone(), bias, clip, scaled)
