"""Where convolutions' answers go in small networks of every kind."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from stillhouse.plugins.qat.flow import open_ends

Forward = Callable[["Net", Tensor], Tensor]


class Net(nn.Module):
    """Two convolutions and a norm; `way` says what happens between."""

    def __init__(self, way: Forward) -> None:
        super().__init__()
        with torch.random.fork_rng():
            self.a, self.b = nn.Conv1d(3, 3, 1), nn.Conv1d(3, 3, 1)
            self.norm, self.way = nn.BatchNorm1d(3), way

    def forward(self, x: Tensor) -> Tensor:
        return self.way(self, x)


WAYS: dict[str, tuple[Forward, list[str]]] = {
    "straight": (lambda n, x: n.b(n.a(x)), ["b"]),
    "through norm and relu": (lambda n, x: n.b(functional.relu(n.norm(n.a(x)))), ["b"]),
    "through a pool": (lambda n, x: n.b(functional.max_pool1d(n.a(x), 2)), ["b"]),
    "through a view": (lambda n, x: n.b(n.a(x).transpose(1, 2).transpose(1, 2)), ["b"]),
    "through gelu": (lambda n, x: n.b(functional.gelu(n.a(x))), ["a", "b"]),
    "through norm and gelu": (lambda n, x: n.b(functional.gelu(n.norm(n.a(x)))), ["norm", "b"]),
    "added to the input": (lambda n, x: n.b(n.norm(n.a(x)) + x), ["norm", "b"]),
    "read beside the layer": (lambda n, x: n.b(y := n.a(x)) + y, ["a", "b"]),
    "read beside the norm": (lambda n, x: n.b(n.norm(y := n.a(x))) * y.mean(), ["a", "b"]),
    "norm after relu": (lambda n, x: n.b(n.norm(functional.relu(n.a(x)))), ["a", "b"]),
    "stacked with another": (lambda n, x: torch.cat([n.a(x), n.b(x)]), ["a", "b"]),
}


@pytest.mark.parametrize("way", WAYS)
def test_answers_that_are_not_rounded_further_on_are_rounded_on_the_spot(way: str) -> None:
    forward, expected = WAYS[way]
    net = Net(forward).eval()
    assert open_ends(net, {"a": 8, "b": 8}, torch.zeros(1, 3, 4)) == expected


def test_a_layer_that_is_not_quantised_rounds_nothing() -> None:
    net = Net(WAYS["straight"][0]).eval()
    assert open_ends(net, {"a": 8}, torch.zeros(1, 3, 4)) == ["a"]
    assert open_ends(net, {}, torch.zeros(1, 3, 4)) == []
