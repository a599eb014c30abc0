"""Steps of weights and ranges of activations: where they start and what moves them."""

from __future__ import annotations

import pytest
import torch

from stillhouse.plugins.qat.quantisers import Range, Steps


def drawn(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("bits", "levels"), [(8, 127), (7, 63), (4, 7)])
def test_weights_take_the_levels_of_their_bits(bits: int, levels: int) -> None:
    weight = drawn(6, 400)
    steps = Steps(weight, bits)
    with torch.no_grad():
        whole = steps(weight) / steps.size()[:, None]
    torch.testing.assert_close(whole, whole.round(), rtol=0, atol=1e-4)
    assert whole.abs().max().round() == levels


@pytest.mark.parametrize("bits", [8, 7])
def test_of_7_and_8_bits_the_largest_weight_of_an_output_is_its_last_level(bits: int) -> None:
    weight = drawn(5, 30)
    steps = Steps(weight, bits)
    with torch.no_grad():
        torch.testing.assert_close(steps(weight).abs().amax(1), weight.abs().amax(1))


def test_of_4_bits_clipping_the_largest_loses_less_than_keeping_it() -> None:
    weight = drawn(5, 400)
    steps = Steps(weight, 4)
    whole = Steps(weight, 4)
    with torch.no_grad():
        whole.log.copy_((weight.abs().amax(1) / 7).log())
        lost, kept = ((s(weight) - weight).square().sum(1) for s in (steps, whole))
    assert (lost < kept).all()


def test_weights_of_nought_stay_nought_and_an_idle_output_has_a_finite_step() -> None:
    weight = drawn(3, 20) * (torch.arange(20) % 2)
    weight[1] = 0
    steps = Steps(weight, 4)
    with torch.no_grad():
        out = steps(weight)
    assert torch.equal(out[:, ::2], torch.zeros(3, 10))
    assert torch.equal(out[1], torch.zeros(20))
    assert torch.isfinite(steps.log).all()


def test_a_range_follows_batches_in_training_and_stays_in_eval_mode() -> None:
    part = Range().eval()
    part(torch.tensor([-50.0, 70.0]))
    assert (part.low, part.high) == (-4, 4)
    part.train()(torch.tensor([-2.0, 6.0]))
    torch.testing.assert_close((part.low, part.high), (torch.tensor(-3.98), torch.tensor(4.02)))
    part(torch.tensor([1.0, 2.0]))
    torch.testing.assert_close(part.low, torch.tensor(-3.98 * 0.99))


def test_a_watched_range_ends_where_what_it_saw_ended() -> None:
    part = Range().eval()
    part.watch()
    given = torch.tensor([-1.5, 0.123])
    assert part(given) is given
    part(torch.tensor([3.0, 0.5]))
    part.settle()
    assert (part.low, part.high) == (-1.5, 3)
    assert not torch.equal(part(given), given)
    part.watch()
    part.settle()
    assert (part.low, part.high) == (-1.5, 3)


@pytest.mark.parametrize("values", [[0.2, 5.0], [-5.0, -0.2], [-3.3, 1.7], [0.0, 0.0]])
def test_nought_is_one_of_the_levels(values: list[float]) -> None:
    part = Range().eval()
    part.watch()
    part(torch.tensor(values))
    part.settle()
    assert part(torch.zeros(1)) == 0
    rounded = part(torch.tensor(values))
    assert torch.allclose(rounded, torch.tensor(values), atol=float(part.step()) / 2 + 1e-6)
