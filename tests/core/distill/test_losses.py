from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from stillhouse.core.distill.losses import (
    hidden_loss,
    instance_norm,
    masked_loss,
    mean_target,
    soft_cross_entropy,
    soft_labels,
)


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


@pytest.mark.parametrize("tau", [1.0, 4.0, 20.0])
def test_soft_labels_is_tau_squared_times_the_mean_divergence(tau: float) -> None:
    student, teacher = drawn(5, 7), 3 * drawn(5, 7, seed=1)
    p, q = softmax(teacher.numpy() / tau), softmax(student.numpy() / tau)
    expected = tau**2 * (p * (np.log(p) - np.log(q))).sum(-1).mean()
    assert soft_labels(student, teacher, tau).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("tau", [1.0, 4.0, 20.0])
def test_gradient_of_soft_labels_is_tau_times_the_difference_of_probabilities(tau: float) -> None:
    student, teacher = drawn(5, 7).requires_grad_(), drawn(5, 7, seed=1)
    soft_labels(student, teacher, tau).backward()
    expected = tau * ((student / tau).softmax(-1) - (teacher / tau).softmax(-1)) / 5
    torch.testing.assert_close(student.grad, expected.detach(), rtol=1e-12, atol=1e-15)


def test_soft_labels_tends_to_matching_centred_logits() -> None:
    student, teacher = drawn(5, 7), drawn(5, 7, seed=1)
    gap = student - teacher
    expected = (gap - gap.mean(-1, keepdim=True)).square().sum(-1).mean() / (2 * 7)
    assert soft_labels(student, teacher, 1e4).item() == pytest.approx(expected.item(), rel=1e-3)


def test_soft_labels_vanishes_for_equal_logits_up_to_a_constant() -> None:
    logits = drawn(5, 7)
    assert soft_labels(logits + 3, logits, 4.0).item() == pytest.approx(0, abs=1e-12)


def test_soft_cross_entropy_of_one_hot_targets_is_cross_entropy() -> None:
    logits, labels = drawn(5, 7), torch.tensor([0, 6, 3, 3, 1])
    hot = torch.nn.functional.one_hot(labels, 7).double()
    expected = torch.nn.functional.cross_entropy(logits, labels)
    torch.testing.assert_close(soft_cross_entropy(logits, hot), expected, rtol=1e-12, atol=0)


def test_half_precision_logits_are_compared_in_float32() -> None:
    student, teacher = drawn(5, 7).bfloat16(), drawn(5, 7, seed=1).bfloat16()
    loss = soft_labels(student, teacher, 2.0)
    assert loss.dtype == torch.float32
    assert loss.item() == soft_labels(student.float(), teacher.float(), 2.0).item()


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("l1", lambda a, b: np.abs(a - b).mean()),
        ("mse", lambda a, b: ((a - b) ** 2).mean()),
        (
            "cosine",
            lambda a, b: (
                1 - ((a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1))
            ).mean(),
        ),
    ],
)
def test_hidden_losses_have_their_textbook_values(kind: str, expected: object) -> None:
    a, b = drawn(2, 5, 3), drawn(2, 5, 3, seed=1)
    value = expected(a.numpy(), b.numpy())
    assert hidden_loss(a, b, kind).item() == pytest.approx(value, rel=1e-10)


def test_instance_norm_standardises_every_channel_over_time() -> None:
    x = 5 + 3 * drawn(2, 50, 4)
    normed = instance_norm(x)
    mean, variance = x.mean(1, keepdim=True), x.var(1, correction=0, keepdim=True)
    torch.testing.assert_close(normed, (x - mean) / (variance + 1e-5).sqrt())
    torch.testing.assert_close(normed.mean(1), torch.zeros(2, 4, dtype=x.dtype), atol=1e-12, rtol=0)


def test_mean_target_is_the_plain_mean_or_normed_twice() -> None:
    layers = [drawn(2, 9, 4, seed=s) * (s + 1) for s in range(3)]
    plain = (layers[0] + layers[1] + layers[2]) / 3
    torch.testing.assert_close(mean_target(layers, normalise=False), plain)
    normed = instance_norm(sum(map(instance_norm, layers)) / 3)
    torch.testing.assert_close(mean_target(layers, normalise=True), normed)


@pytest.mark.parametrize("kind", ["l1", "mse", "cosine"])
def test_masked_losses_are_means_over_each_samples_masked_positions(kind: Any) -> None:
    generator = torch.Generator().manual_seed(0)
    student, target = (torch.randn(3, 7, 5, generator=generator) for _ in range(2))
    mask = torch.rand(3, 7, generator=generator) > 0.5
    found = masked_loss(student, target, kind, mask)
    own = [
        hidden_loss(one[hidden], other[hidden], kind)
        for one, other, hidden in zip(student, target, mask, strict=True)
    ]
    torch.testing.assert_close(found, torch.stack(own).mean())
    parts = [
        masked_loss(student[rows], target[rows], kind, mask[rows]) * len(student[rows]) / 3
        for rows in (slice(0, 1), slice(1, 3))
    ]
    torch.testing.assert_close(found, parts[0] + parts[1])
