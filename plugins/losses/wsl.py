"""WSL: softened answers, weighted by how far the student is behind the teacher."""

from __future__ import annotations

from typing import Final, final

import torch
from torch import Tensor
from torch.nn import functional

from stillhouse.core.distill.hint_loss import HintLoss, Hints

_TEMPERATURE: Final = 2.0
_EPS: Final = 1e-7


@final
class WSL(HintLoss):
    """Mean over the batch of tau^2 (1 - exp(-l_S / l_T)) CE(p_T^tau, p_S^tau), tau = 2.

    l_S and l_T are the cross-entropies of student and teacher with the label, constants of the
    gradient; l_T is at least 1e-7. Zhou et al., arXiv:2102.00650.
    """

    def forward(self, hints: Hints) -> Tensor:
        student, teacher = hints.student_logits, hints.teacher_logits.detach()
        soft = (teacher / _TEMPERATURE).softmax(-1)
        distances = -(soft * (student / _TEMPERATURE).log_softmax(-1)).sum(-1)
        return _TEMPERATURE**2 * (_weights(student, teacher, hints.targets) * distances).mean()


@torch.no_grad()
def _weights(student: Tensor, teacher: Tensor, targets: Tensor) -> Tensor:
    own = functional.cross_entropy(student, targets, reduction="none")
    other = functional.cross_entropy(teacher, targets, reduction="none")
    return -torch.expm1(-own / other.clamp(min=_EPS))
