"""Sums after a product whose other half is no bias: the product keeps its own rounding alone."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from stillhouse.plugins.quantize.activations import static_tensors
from stillhouse.plugins.quantize.layers import STATIC, weights_of
from stillhouse.plugins.quantize.network import GraphNetwork
from stillhouse.plugins.quantize.pairing import paired
from stillhouse.plugins.quantize.ranges import ranges
from stillhouse.plugins.quantize.rewriting import quantised
from stillhouse.plugins.targets.onnxruntime_cpu import OnnxRuntimeCpu


class Summed(nn.Module):
    """A product without a bias, a sum, a head; over 4 samples of 5 frames."""

    def __init__(self, shape: tuple[int, ...], twice: bool) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.product, self.head = nn.Linear(8, 8, bias=False), nn.Linear(8, 3)
        self.added, self._twice = nn.Parameter(torch.randn(shape, generator=generator)), twice

    def forward(self, x: Tensor) -> Tensor:
        y = self.product(x)
        z = (y + self.added).relu()
        out: Tensor = self.head(z + (y + x) if self._twice else z)
        return out.mean(1)


@pytest.mark.parametrize("shape", [(8,), (5, 8), (1,)], ids=str)
@pytest.mark.parametrize("twice", [False, True])
def test_what_is_added_to_a_product_need_not_be_a_bias(
    shape: tuple[int, ...], twice: bool, runtime: Callable[..., OnnxRuntimeCpu]
) -> None:
    network = Summed(shape, twice).eval()
    x = torch.randn(4, 5, 8, generator=torch.Generator().manual_seed(1))
    graph = runtime(batch=4).graph(network, x)
    layers = paired(graph, weights_of(network), ["product", "head"])
    schemes = dict.fromkeys(layers.values(), STATIC)
    found = ranges(graph, static_tensors(graph, schemes), x, "minmax")
    answers = GraphNetwork(quantised(graph, schemes, found, "signed", True))(x)
    wanted = network(x).detach()
    assert 0 < (answers - wanted).norm() / wanted.norm() < 0.05
