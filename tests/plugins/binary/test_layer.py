"""The layer in training, and what is kept of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from stillhouse.plugins.binary.geometry import Geometry
from stillhouse.plugins.binary.layer import BinaryLayer

Make = Callable[..., BinaryLayer]
CONVOLUTION = Geometry(5, 6, (3, 3), (1, 1), (1, 1, 1, 1), (1, 1))


def weights(layer: BinaryLayer) -> torch.Tensor:
    return layer.latent.detach().reshape(layer.geometry.outputs, layer.geometry.inputs, -1)


def test_it_multiplies_signs_by_the_mean_size_of_the_weights(layer: Make) -> None:
    one = layer(Geometry(12, 7))
    x = torch.randn(4, 12, generator=torch.Generator().manual_seed(0))
    clipped = weights(one)[:, :, 0].clamp(-1.25, 1.25)
    scale = clipped.abs().mean(1, dtype=torch.float64).half().float()
    signs = torch.where(x >= one.threshold, 1.0, -1.0)
    assert one.bias is not None
    expected = signs @ torch.where(clipped >= 0, 1.0, -1.0).T * scale + one.bias
    assert torch.equal(one(x), expected)


def test_the_border_is_positive_and_never_zero(layer: Make) -> None:
    one = layer(CONVOLUTION, scaled=False, bias=False)
    x = torch.full((1, 5, 4, 4), 9.0)
    whole = torch.where(weights(one) >= 0, 1.0, -1.0).sum((1, 2))
    assert torch.equal(one(x), whole[None, :, None, None].expand(1, 6, 4, 4))


def test_gradients_are_those_of_the_formula(layer: Make) -> None:
    one = layer(Geometry(12, 7)).train()
    x = torch.randn(4, 12, generator=torch.Generator().manual_seed(0), requires_grad=True)
    slope = torch.randn(4, 7, generator=torch.Generator().manual_seed(1))
    one(x).backward(slope)
    latent = weights(one)[:, :, 0]
    signs, inputs = torch.where(latent >= 0, 1.0, -1.0), torch.where(x >= one.threshold, 1.0, -1.0)
    scale = latent.abs().mean(1, dtype=torch.float64).half().float()
    inside = ((x - one.threshold).abs() <= 1.25).float()
    assert x.grad is not None
    assert one.threshold.grad is not None
    assert one.latent.grad is not None
    given = (slope * scale) @ signs * inside
    torch.testing.assert_close(x.grad, given)
    torch.testing.assert_close(one.threshold.grad, -given.sum(0))
    # XNOR-Net's equation 10, of a mean and of a sign: through the scale, and straight through.
    size = (slope * (inputs @ signs.T)).sum(0)[:, None] * signs / 12
    straight = (slope * scale).T @ inputs
    torch.testing.assert_close(one.latent.grad.reshape(7, 12), size + straight)


def test_training_clips_weights_and_evaluation_takes_them_as_clipped(layer: Make) -> None:
    one = layer(Geometry(12, 7))
    x = torch.randn(4, 12, generator=torch.Generator().manual_seed(0))
    assert one.latent.abs().max() > 1.25
    before, loose = one(x), one.latent.detach().clone()
    assert torch.equal(one.latent, loose)
    assert torch.equal(one.train()(x), before)
    assert torch.equal(one.latent, loose.clamp(-1.25, 1.25))


def test_the_state_holds_bits_and_no_real_weights(layer: Make) -> None:
    state = layer(CONVOLUTION).state_dict()
    assert {name: (tuple(t.shape), t.dtype) for name, t in state.items()} == {
        "signs": ((6, 6), torch.uint8), "scale": ((6,), torch.float16),
        "threshold": ((5,), torch.float32), "bias": ((6,), torch.float32),
    }  # fmt: skip


@pytest.mark.parametrize("geometry", [Geometry(12, 7), CONVOLUTION])
@pytest.mark.parametrize("scaled", [True, False])
def test_what_is_loaded_answers_and_is_saved_alike(
    layer: Make, geometry: Geometry, scaled: bool
) -> None:
    one, other = layer(geometry, scaled), layer(geometry, scaled)
    with torch.no_grad():
        one.latent.copy_(-one.latent.flip(0))
        one.latent[: geometry.entries] *= 1e-12  # no number of half precision but 0
        other.threshold.zero_()
    state = one.state_dict()
    other.load_state_dict(state)
    x = torch.randn(2, geometry.inputs, *[6 for _ in geometry.kernel])
    assert torch.equal(one(x), other(x))
    again = other.state_dict()
    assert all(torch.equal(state[name], again[name]) for name in state)


def test_states_that_do_not_fit_are_refused(layer: Make) -> None:
    one = layer(Geometry(12, 7))
    state = one.state_dict()
    wrong: dict[str, Any] = {
        "Missing key.*signs": {k: v for k, v in state.items() if k != "signs"},
        "Missing key.*scale": {k: v for k, v in state.items() if k != "scale"},
        r"size mismatch for signs.*\(7, 2\)": state | {"signs": state["signs"][:3]},
        "size mismatch for scale.*float16": state | {"scale": state["scale"].float()},
    }
    before = one.latent.detach().clone()
    for match, given in wrong.items():
        with pytest.raises(RuntimeError, match=f"(?s){match}"):
            one.load_state_dict(given)
        assert torch.equal(one.latent, before)
    with pytest.raises(RuntimeError, match=r"(?s)Unexpected key.*more"):
        one.load_state_dict(state | {"more": torch.zeros(1)})
    with pytest.raises(RuntimeError, match=r"(?s)Unexpected key.*scale"):
        layer(Geometry(12, 7), scaled=False).load_state_dict(state)


def test_weight_decay_spares_the_weights_behind_signs(layer: Make) -> None:
    assert layer(CONVOLUTION).latent.ndim == 1


@pytest.mark.filterwarnings("ignore:Using padding=.same. with even kernel lengths")
@pytest.mark.parametrize("padding", [0, 2, (1, 0), "same", "valid"])
def test_a_convolution_keeps_its_borders(padding: Any) -> None:
    with torch.random.fork_rng():
        plain = nn.Conv2d(3, 2, (3, 4), padding=padding, bias=False)
    geometry, x = Geometry.of(plain), torch.randn(1, 3, 9, 9)
    found = geometry.product(functional.pad(x, geometry.padding), plain.weight)
    torch.testing.assert_close(found, plain(x))


def test_borders_that_are_not_constant_are_refused() -> None:
    with torch.random.fork_rng():
        circular = nn.Conv1d(3, 2, 3, padding=1, padding_mode="circular")
    with pytest.raises(ValueError, match="pads by mode 'circular'"):
        Geometry.of(circular)
