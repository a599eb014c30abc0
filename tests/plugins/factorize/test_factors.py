"""Factors are the nearest product of their rank, in weights or in answers."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from stillhouse.core.evaluate import Split
from stillhouse.plugins.factorize.factors import Spectrum
from stillhouse.plugins.factorize.pairs import thin
from stillhouse.plugins.factorize.responses import spectra
from stillhouse.plugins.layers.matrices import Layer


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def given_weights(part: nn.Module) -> nn.Module:
    part = part.to_empty(device="cpu").requires_grad_(False)
    for seed, weight in enumerate(part.parameters()):
        weight.copy_(drawn(*weight.shape, seed=seed))
    return part.requires_grad_(True)


PARTS = {
    "wide": lambda: nn.Linear(12, 7, device="meta"),
    "tall": lambda: nn.Linear(7, 12, bias=False, device="meta"),
    "conv1d": lambda: nn.Conv1d(3, 8, 5, stride=2, padding=2, device="meta"),
    "conv2d": lambda: nn.Conv2d(2, 6, (3, 2), padding="same", dilation=2, device="meta"),
    "expanding": lambda: nn.Conv2d(1, 16, 3, bias=False, padding_mode="circular", padding=1,
                                   device="meta"),
}  # fmt: skip
INPUTS = {
    "wide": (5, 12), "tall": (5, 7), "conv1d": (4, 3, 11), "conv2d": (4, 2, 6, 7),
    "expanding": (4, 1, 6, 6),
}  # fmt: skip


def layer(kind: str) -> Layer:
    part = given_weights(PARTS[kind]())
    assert isinstance(part, (nn.Linear, nn.Conv1d, nn.Conv2d))
    return Layer(part)


@pytest.mark.parametrize("kind", PARTS)
@pytest.mark.parametrize("rank", [1, 3, 6])
def test_the_error_in_the_weights_is_what_the_dropped_singular_values_say(
    kind: str, rank: int
) -> None:
    whole = layer(kind)
    spectrum = Spectrum.of(whole)
    first, second = spectrum.factors(rank)
    values = torch.linalg.svdvals(whole.matrix.double())
    error = torch.linalg.matrix_norm(whole.matrix.double() - second @ first)
    torch.testing.assert_close(error, values[rank:].square().sum().sqrt(), rtol=1e-6, atol=1e-6)
    share = values[rank:].square().sum() / values.square().sum()
    assert spectrum.lost(rank) == pytest.approx(float(share), abs=1e-9)


@pytest.mark.parametrize("kind", PARTS)
def test_at_full_rank_the_two_layers_answer_as_the_one(kind: str) -> None:
    whole, x = layer(kind), drawn(*INPUTS[kind], seed=9)
    pair = thin(whole, *Spectrum.of(whole).factors(min(whole.matrix.shape)))
    torch.testing.assert_close(pair(x), whole.part(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", PARTS)
def test_the_error_in_the_answers_is_the_least_of_all_products_of_the_rank(kind: str) -> None:
    whole, rank = layer(kind), 2
    # Skewed inputs: the direction of the largest weights is not that of the largest answers.
    x = drawn(64, *INPUTS[kind][1:], seed=9)
    x = x * torch.linspace(0.02, 2, x.shape[-1])
    network = nn.Sequential(whole.part)
    split = Split("train", x, torch.zeros(64, dtype=torch.int64))
    spectrum = spectra(network, {"0": whole}, split, 64, 0)["0"]

    def answers(part: nn.Module) -> Tensor:
        """Without bias, (outputs, positions)."""
        found = part(x).detach().movedim(1, 0).flatten(1) if x.ndim > 2 else part(x).detach().T
        bias = whole.bias
        return (found if bias is None else found - bias.detach()[:, None]).double()

    goal = answers(whole.part)
    error = torch.linalg.matrix_norm(goal - answers(thin(whole, *spectrum.factors(rank))))
    best = torch.linalg.svdvals(goal)[rank:].square().sum().sqrt()
    torch.testing.assert_close(error, best, rtol=1e-3, atol=1e-3)
    plain = torch.linalg.matrix_norm(goal - answers(thin(whole, *Spectrum.of(whole).factors(rank))))
    assert error < plain


def test_both_factors_of_a_direction_are_equally_large() -> None:
    first, second = Spectrum.of(layer("wide")).factors(4)
    torch.testing.assert_close(first.norm(dim=1), second.norm(dim=0))


def test_a_matrix_without_weights_gives_factors_that_are_finite() -> None:
    empty = nn.Linear(4, 4, bias=False, device="meta")
    empty.weight = nn.Parameter(torch.zeros(4, 4))
    first, second = Spectrum.of(Layer(empty)).factors(2)
    assert torch.isfinite(first).all()
    assert torch.equal(second @ first, torch.zeros(4, 4, dtype=torch.float64))
    assert Spectrum.of(Layer(empty)).lost(1) == 0


def test_gradients_reach_both_factors_and_the_bias() -> None:
    pair = thin(layer("conv1d"), *Spectrum.of(layer("conv1d")).factors(3))
    functional.mse_loss(pair(drawn(2, 3, 11)), torch.zeros(2, 8, 6)).backward()
    named = dict(pair.named_parameters())
    assert set(named) == {"0.weight", "1.weight", "1.bias"}
    assert all(w.grad is not None and bool(w.grad.abs().sum() > 0) for w in named.values())
