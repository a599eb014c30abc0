"""KD: the teacher's softened answers."""

from __future__ import annotations

from typing import Final, final

from torch import Tensor

from stillhouse.core.distill.hint_loss import HintLoss, Hints
from stillhouse.core.distill.losses import soft_labels

_TEMPERATURE: Final = 4.0


@final
class KD(HintLoss):
    """T^2 KL(p_T || p_S) of answers softened at T = 4, mean over the batch.

    Hinton et al., arXiv:1503.02531, section 2; T as in Tian et al., arXiv:1910.10699.
    """

    def forward(self, hints: Hints) -> Tensor:
        return soft_labels(hints.student_logits, hints.teacher_logits.detach(), _TEMPERATURE)
