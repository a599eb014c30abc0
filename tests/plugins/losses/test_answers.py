from __future__ import annotations

from collections.abc import Callable
from math import exp, log

import torch
from torch import Tensor

from stillhouse.core.distill.hint_loss import HintLoss, Hints, HintShapes
from stillhouse.plugins.losses.kd import KD
from stillhouse.plugins.losses.wsl import WSL

Make, Agrees = Callable[..., Hints], Callable[..., None]


def test_kd_is_the_divergence_of_answers_at_four_degrees(
    make: Make, agrees: Agrees, shapes: HintShapes
) -> None:
    agrees(KD(shapes), make(), _kd)


def test_kd_pulls_by_the_difference_of_softened_answers(make: Make, shapes: HintShapes) -> None:
    hints = make()
    (slope,) = torch.autograd.grad(KD(shapes)(hints), hints.student_logits)
    own, other = ((x / 4).softmax(-1) for x in (hints.student_logits, hints.teacher_logits))
    assert torch.allclose(slope, 4 * (own - other) / len(own), rtol=1e-9, atol=0)


def test_wsl_weighs_answers_by_how_far_the_student_is_behind(
    make: Make, agrees: Agrees, shapes: HintShapes
) -> None:
    agrees(WSL(shapes), make(), _wsl)


def test_wsl_is_finite_for_a_teacher_without_doubt(make: Make, shapes: HintShapes) -> None:
    hints = make()
    with torch.no_grad():
        hints.teacher_logits.copy_(1e4 * torch.eye(4, dtype=torch.float64)[hints.targets])
    value = WSL(shapes)(hints)
    (slope,) = torch.autograd.grad(value, hints.student_logits)
    assert torch.isfinite(value)
    assert torch.isfinite(slope).all()
    assert value.item() > 0


def _probabilities(logits: Tensor, temperature: float) -> list[Tensor]:
    powers = [(x / temperature).exp() for x in logits]
    total = sum(powers, torch.zeros((), dtype=torch.float64))
    return [power / total for power in powers]


def _kd(_loss: HintLoss, hints: Hints) -> Tensor:
    total = torch.zeros((), dtype=torch.float64)
    for own, other in zip(hints.student_logits, hints.teacher_logits.detach(), strict=True):
        for q, p in zip(_probabilities(own, 4), _probabilities(other, 4), strict=True):
            total = total + p * (p.log() - q.log())
    return 16 * total / len(hints.targets)


def _wsl(_loss: HintLoss, hints: Hints) -> Tensor:
    total = torch.zeros((), dtype=torch.float64)
    rows = zip(hints.student_logits, hints.teacher_logits.detach(), hints.targets, strict=True)
    for own, other, target in rows:
        hard = [-log(float(_probabilities(x.detach(), 1)[int(target)])) for x in (own, other)]
        soft = zip(_probabilities(other, 2), _probabilities(own, 2), strict=True)
        crossed = -sum((p * q.log() for p, q in soft), torch.zeros((), dtype=torch.float64))
        total = total + (1 - exp(-hard[0] / hard[1])) * crossed
    return 4 * total / len(hints.targets)
