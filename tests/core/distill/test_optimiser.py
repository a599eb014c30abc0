"""Zeros that stay: no step, moment or decay moves them."""

from __future__ import annotations

import torch
from torch import nn

from stillhouse.core.distill.optimiser import Optimiser
from stillhouse.core.distill.settings import TrainSettings

SETTINGS = TrainSettings(epochs=1, batch_size=4, learning_rate=0.1, weight_decay=0.3)


def networks() -> nn.ModuleDict:
    layer, empty, adapter = (nn.Linear(4, 4, device="meta").to_empty(device="cpu") for _ in "123")
    with torch.no_grad():
        for part in (layer, adapter):
            part.weight.copy_(torch.eye(4) + 0.5 * torch.ones(4, 4).triu(1))
            part.bias.zero_()
        empty.weight.zero_()
        empty.bias.zero_()
    return nn.ModuleDict({"network": nn.ModuleList([layer, empty]), "adapters": adapter})


def trained(*, zeros_stay: bool) -> list[torch.Tensor]:
    """Weights of the layer, of the one without weights yet, and of the adapter."""
    modules = networks()
    optimiser = Optimiser(modules, SETTINGS, "float32", zeros_stay=zeros_stay)
    x = torch.randn(8, 4, generator=torch.Generator().manual_seed(0))
    weights = [part.weight for part in modules.modules() if isinstance(part, nn.Linear)]
    for _ in range(20):
        optimiser.backward(sum(((x @ w.T + 1) ** 2).mean() for w in weights))
        optimiser.step(0.1)
    return [weight.detach() for weight in weights]


def test_zeros_among_other_weights_stay_exactly_and_all_else_trains() -> None:
    layer, empty, adapter = trained(zeros_stay=True)
    below = torch.ones(4, 4).tril(-1).bool()
    assert torch.equal(layer == 0, below)
    assert (empty != 0).all()
    assert (adapter != 0).all()


def test_without_it_every_weight_trains() -> None:
    assert all((weight != 0).all() for weight in trained(zeros_stay=False))
