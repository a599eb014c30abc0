"""The distillation loss against given probabilities, of one class or several labels a sample."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from stillhouse.core.distill.losses import distilled, soft_labels


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("tau", [1.0, 4.0, 20.0])
def test_the_gradient_of_a_softmax_is_tau_times_the_difference(tau: float) -> None:
    logits, target = drawn(5, 7).requires_grad_(), drawn(5, 7, seed=1).softmax(-1)
    distilled(logits, target, tau, several=False).backward()
    expected = tau * ((logits / tau).softmax(-1) - target) / 5
    torch.testing.assert_close(logits.grad, expected.detach(), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("tau", [1.0, 4.0, 20.0])
def test_the_gradient_of_sigmoids_is_a_mean_over_batch_and_labels(tau: float) -> None:
    logits, target = drawn(5, 7).requires_grad_(), drawn(5, 7, seed=1).sigmoid()
    distilled(logits, target, tau, several=True).backward()
    expected = tau * ((logits / tau).sigmoid() - target) / (5 * 7)
    torch.testing.assert_close(logits.grad, expected.detach(), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("tau", [1.0, 7.0])
def test_a_teachers_own_answers_as_targets_give_soft_labels(tau: float) -> None:
    student, teacher = drawn(5, 7), 3 * drawn(5, 7, seed=1)
    found = distilled(student, (teacher / tau).softmax(-1), tau, several=False)
    torch.testing.assert_close(found, soft_labels(student, teacher, tau), rtol=1e-12, atol=0)


@pytest.mark.parametrize("tau", [1.0, 7.0])
def test_each_label_is_a_softmax_over_its_two_outcomes(tau: float) -> None:
    student, teacher = drawn(5, 7), 3 * drawn(5, 7, seed=1)
    found = distilled(student, (teacher / tau).sigmoid(), tau, several=True)
    pairs = [torch.stack([z, torch.zeros_like(z)], -1) for z in (student, teacher)]
    torch.testing.assert_close(found, soft_labels(*pairs, tau), rtol=1e-12, atol=0)


def test_certain_targets_of_several_labels_give_binary_cross_entropy() -> None:
    logits, target = drawn(5, 7), (drawn(5, 7, seed=1) > 0).double()
    expected = functional.binary_cross_entropy_with_logits(logits, target)
    found = distilled(logits, target, 1.0, several=True)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("several", [False, True])
def test_own_answers_as_targets_cost_nothing(several: bool) -> None:
    logits = drawn(5, 7)
    own = (logits / 4).sigmoid() if several else (logits / 4).softmax(-1)
    assert distilled(logits, own, 4.0, several).item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("several", [False, True])
def test_extreme_logits_and_certain_targets_stay_finite(several: bool) -> None:
    logits = torch.tensor([[1e4, -1e4], [-1e4, 1e4]], requires_grad=True)
    value = distilled(logits, torch.tensor([[1.0, 0.0], [1.0, 0.0]]), 2.0, several)
    value.backward()
    assert value.isfinite()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize("several", [False, True])
def test_half_precision_is_compared_in_float32(several: bool) -> None:
    logits, target = drawn(5, 7).bfloat16(), drawn(5, 7, seed=1).softmax(-1).float()
    found = distilled(logits, target, 2.0, several)
    assert found.dtype == torch.float32
    assert torch.equal(found, distilled(logits.float(), target, 2.0, several))
