"""Distillation losses on logits and on hidden states."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

HiddenLoss = Literal["l1", "mse", "cosine"]

_EPS = 1e-5


def soft_cross_entropy(logits: Tensor, probabilities: Tensor) -> Tensor:
    """-sum_c p_c log softmax(logits)_c, mean over the batch; both (..., classes)."""
    logits = _at_least_float32(logits)
    return -(probabilities * logits.log_softmax(-1)).sum(-1).mean()


def soft_labels(student: Tensor, teacher: Tensor, temperature: float = 1.0) -> Tensor:
    """tau^2 * KL(p_T^tau || p_S^tau), mean over the batch; logits (..., classes).

    The gradient with respect to the student's logits is tau * (p_S^tau - p_T^tau) / batch
    (Hinton et al., arXiv:1503.02531, section 2).
    """
    log_student = (_at_least_float32(student) / temperature).log_softmax(-1).flatten(0, -2)
    log_teacher = (_at_least_float32(teacher) / temperature).log_softmax(-1).flatten(0, -2)
    divergence = functional.kl_div(log_student, log_teacher, reduction="batchmean", log_target=True)
    return temperature**2 * divergence


def distilled(
    student_logits: Tensor, target_probabilities: Tensor, temperature: float, several: bool
) -> Tensor:
    """tau^2 * KL(q || p_S^tau), mean over the batch; both (..., classes), q at the temperature.

    With `several`, classes are labels of their own, p_S^tau = sigmoid(z_S / tau), the divergence
    sums over a label's two outcomes, and the mean is over labels too, as that of binary
    cross-entropy is. The gradient with respect to z_S is tau * (p_S^tau - q) / batch, or
    tau * (p_S^tau - q) / (batch * labels).
    """
    logits = _at_least_float32(student_logits) / temperature
    wanted = _at_least_float32(target_probabilities)
    if several:
        return temperature**2 * _two_outcomes(logits, wanted).mean()
    log_student = logits.log_softmax(-1).flatten(0, -2)
    divergence = functional.kl_div(log_student, wanted.flatten(0, -2), reduction="batchmean")
    return temperature**2 * divergence


def softened(logits: Tensor, temperature: float, several: bool) -> Tensor:
    """Probabilities (..., classes), float32, at a temperature; with `several`, of each label."""
    scores = logits.float() / temperature
    return scores.sigmoid() if several else scores.softmax(-1)


def hidden_loss(student: Tensor, target: Tensor, kind: HiddenLoss) -> Tensor:
    """Distance of two features of one shape (batch, ..., width), a scalar.

    `l1` and `mse` are means over all elements; `cosine` is 1 - cos over the width, mean over the
    rest.
    """
    student, target = _at_least_float32(student), _at_least_float32(target)
    if kind == "l1":
        return functional.l1_loss(student, target)
    if kind == "mse":
        return functional.mse_loss(student, target)
    return 1 - functional.cosine_similarity(student, target, dim=-1).mean()


def masked_loss(student: Tensor, target: Tensor, kind: HiddenLoss, mask: Tensor) -> Tensor:
    """`hidden_loss` over the positions where `mask` (batch, positions) is true, a scalar.

    The mean over each sample's positions, then over samples, so that parts of a batch add up to
    the whole. Every sample must have a position.
    """
    student, target = _at_least_float32(student), _at_least_float32(target)
    if kind == "cosine":
        distances = 1 - functional.cosine_similarity(student, target, dim=-1)
    else:
        gaps = student - target
        distances = (gaps.abs() if kind == "l1" else gaps.square()).mean(-1)
    return ((distances * mask).sum(1) / mask.sum(1)).mean()


def instance_norm(features: Tensor) -> Tensor:
    """Zero mean and unit variance over time, for each sample and channel: (batch, time, width)."""
    features = _at_least_float32(features)
    variance, mean = torch.var_mean(features, dim=1, correction=0, keepdim=True)
    return (features - mean) * torch.rsqrt(variance + _EPS)


def mean_target(layers: Sequence[Tensor], normalise: bool) -> Tensor:
    """The mean of several layers' features, each (batch, time, width).

    With `normalise`, every layer and then the mean pass through `instance_norm`
    (data2vec, arXiv:2202.03555, section 3.3).
    """
    if not normalise:
        return torch.stack([_at_least_float32(layer) for layer in layers]).mean(0)
    return instance_norm(torch.stack([instance_norm(layer) for layer in layers]).mean(0))


def _two_outcomes(logits: Tensor, wanted: Tensor) -> Tensor:
    """KL of Bernoulli distributions of probabilities `wanted` and sigmoid(logits), elementwise."""
    there = functional.kl_div(functional.logsigmoid(logits), wanted, reduction="none")
    absent = functional.kl_div(functional.logsigmoid(-logits), 1 - wanted, reduction="none")
    return there + absent


def _at_least_float32(values: Tensor) -> Tensor:
    return values if values.dtype in (torch.float32, torch.float64) else values.float()
