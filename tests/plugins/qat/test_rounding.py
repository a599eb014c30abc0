"""Numbers and gradients worked out by hand."""

from __future__ import annotations

import torch

from stillhouse.plugins.qat.rounding import rounded_activation, rounded_bias, rounded_weight


def test_weights_are_whole_multiples_of_their_outputs_step() -> None:
    weight = torch.tensor([[0.6, -0.24, 0.0, 9.0], [1.0, 3.0, -2.9, 0.99]])
    steps = torch.tensor([0.5, 1.0]).log()
    with torch.no_grad():
        out = rounded_weight(weight, steps, 7)
    assert out.tolist() == [[0.5, 0.0, 0.0, 3.5], [1.0, 3.0, -3.0, 1.0]]


def test_a_weights_gradient_is_one_where_it_is_rounded_to_a_level_and_nought_beyond() -> None:
    weight = torch.tensor([[0.0, 3.4, -3.7, 7.4, 7.6, -8.0]], requires_grad=True)
    rounded_weight(weight, torch.zeros(1), 7).sum().backward()
    assert weight.grad is not None
    assert weight.grad.tolist() == [[1, 1, 1, 1, 0, 0]]


def test_a_steps_gradient_is_what_rounding_added_and_the_last_level_beyond() -> None:
    weight = torch.tensor([[1.25, -0.25, 40.0, -40.0], [0.5, 0.5, 0.5, 0.75]])
    steps = torch.tensor([1.0, 0.5]).log().requires_grad_()
    weights = torch.tensor([[1.0, 10.0, 100.0, 1000.0], [1.0, 1.0, 1.0, 1.0]])
    (rounded_weight(weight, steps, 7) * weights).sum().backward()
    assert steps.grad is not None
    # Of the logarithm: times the step. 0.75 is one and a half steps, rounded to two.
    first = (1 - 1.25) * 1 + (0 + 0.25) * 10 + 7 * 100 - 7 * 1000
    torch.testing.assert_close(steps.grad, torch.tensor([first, 0.5 * 0.5]))


def test_activations_lie_on_levels_with_nought_among_them_and_ties_go_to_the_even() -> None:
    x = torch.tensor([-9.0, -0.6, -0.5, 0.0, 0.5, 1.5, 250.0, 999.0])
    with torch.no_grad():
        out = rounded_activation(x, torch.tensor(1.0), torch.tensor(3.0), 255)
    assert out.tolist() == [-3, -1, 0, 0, 0, 2, 250, 252]


def test_an_activations_gradient_is_one_inside_the_range_and_nought_outside() -> None:
    x = torch.tensor([-3.6, -3.4, 0.0, 2.2, 252.4, 252.6], requires_grad=True)
    out = rounded_activation(x, torch.tensor(1.0), torch.tensor(3.0), 255)
    out.backward(torch.tensor([2.0, 3.0, 4.0, 5.0, 6.0, 7.0]))
    assert x.grad is not None
    assert x.grad.tolist() == [0, 3, 4, 5, 6, 0]


def test_with_and_without_gradient_the_numbers_are_the_same() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(50, 7, generator=generator)
    step, zero = torch.tensor(0.013), torch.tensor(100.0)
    log = torch.randn(50, generator=generator) - 3
    with torch.no_grad():
        plain = rounded_activation(x, step, zero, 255), rounded_weight(x, log, 127)
    assert torch.equal(plain[0], rounded_activation(x, step, zero, 255))
    assert torch.equal(plain[1], rounded_weight(x, log, 127))


def test_a_bias_is_rounded_and_its_gradient_passes() -> None:
    bias = torch.tensor([0.3, -0.8], requires_grad=True)
    out = rounded_bias(bias, torch.tensor([0.25, 0.5]))
    out.backward(torch.tensor([2.0, 3.0]))
    assert out.tolist() == [0.25, -1.0]
    assert bias.grad is not None
    assert bias.grad.tolist() == [2, 3]
