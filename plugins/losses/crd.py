"""CRD: a sample's two embeddings told from those of other samples."""

from __future__ import annotations

from typing import Final, final

import torch
from torch import Tensor, nn

from stillhouse.core.distill.hint_loss import HintLoss, Hints, HintShapes
from stillhouse.plugins.losses.connector import Connector
from stillhouse.plugins.losses.features import means, pairs, unit

_WIDTH: Final = 128
_TEMPERATURE: Final = 0.07
_NEGATIVES: Final = 16_384
_MOMENTUM: Final = 0.5
_EPS: Final = 1e-7


@final
class CRD(HintLoss):
    """Noise-contrastive estimation of which of K + 1 teacher rows is the sample's, and the reverse.

    -log(P / (P + K/N + e)) - sum_k log((K/N) / (P_k + K/N + e)), mean over the batch, with
    P = exp(u . v / T) / Z: u a sample's embedding of one network, v rows of a bank of the other's,
    T = 0.07, e = 1e-7, N samples. Embeddings are linear maps to 128 channels of the means over
    positions, of length 1. Tian et al., arXiv:1910.10699, section 3, with the constants of its
    code: Z is N times the first mean of exp(u . v / T) in training, and a bank's rows follow with
    momentum 0.5.

    Negatives are K = min(16384, N - 1) rows of other samples: all of them, or as many draws with
    replacement. Banks and Z change only in training mode with gradients enabled. Of processes that
    train together each has its own, until they take the first one's at the end of an epoch.
    """

    def __init__(self, shapes: HintShapes) -> None:
        super().__init__(shapes)
        self.contrasts = nn.ModuleList(_Contrast(*w, shapes.samples) for w in shapes.widths)

    def forward(self, hints: Hints) -> Tensor:
        losses = [
            contrast(means(student), means(teacher), hints.indices)
            for contrast, (student, teacher) in zip(self.contrasts, pairs(hints), strict=True)
        ]
        return torch.stack(losses).sum()


@final
class _Contrast(nn.Module):
    def __init__(self, widest: int, outputs: int, samples: int) -> None:
        super().__init__()
        self.student_embedding = Connector(widest, _WIDTH)
        self.teacher_embedding = Connector(outputs, _WIDTH)
        self.student_bank, self.teacher_bank = _Bank(samples), _Bank(samples)

    def forward(self, student: Tensor, teacher: Tensor, indices: Tensor) -> Tensor:
        own = unit(self.student_embedding(student))
        other = unit(self.teacher_embedding(teacher))
        rows = _rows(indices, len(self.student_bank.rows))
        loss: Tensor = self.teacher_bank(own, rows) + self.student_bank(other, rows)
        if self.training and torch.is_grad_enabled():
            self.student_bank.follow(own, indices)
            self.teacher_bank.follow(other, indices)
        return loss


@final
class _Bank(nn.Module):
    """The embedding last seen of every sample, `rows` (samples, 128)."""

    rows: Tensor
    total: Tensor
    """Z; 0 until it is set."""

    def __init__(self, samples: int) -> None:
        super().__init__()
        self.register_buffer("rows", unit(torch.randn(samples, _WIDTH)))
        self.register_buffer("total", torch.zeros(()))

    def forward(self, anchors: Tensor, rows: Tensor) -> Tensor:
        """The loss of anchors (batch, 128) against rows (batch, 1 + K), the sample's own first."""
        samples = len(self.rows)
        scores = (anchors @ self.rows.mT).gather(1, rows).div(_TEMPERATURE).exp()
        shares = scores / self._total(scores.detach())
        noise = (rows.shape[1] - 1) / samples
        positive = shares[:, 0] / (shares[:, 0] + noise + _EPS)
        negatives = noise / (shares[:, 1:] + noise + _EPS)
        return -(positive.log() + negatives.log().sum(1)).mean()

    def _total(self, scores: Tensor) -> Tensor:
        total = torch.where(self.total > 0, self.total, scores.mean() * len(self.rows))
        if self.training and torch.is_grad_enabled():
            self.total = total
        return total

    @torch.no_grad()
    def follow(self, embeddings: Tensor, indices: Tensor) -> None:
        """Move samples' rows; a new tensor, since the loss's gradient still needs the old one."""
        moved = _MOMENTUM * self.rows[indices] + (1 - _MOMENTUM) * embeddings
        self.rows = self.rows.index_copy(0, indices, unit(moved))


def _rows(indices: Tensor, samples: int) -> Tensor:
    """(batch, 1 + K): each sample's own row, then K others. Drawn on the CPU for every device."""
    size = (len(indices), min(_NEGATIVES, samples - 1))
    if samples - 1 <= _NEGATIVES:
        steps = torch.arange(1, samples).expand(size)
    else:
        steps = torch.randint(1, samples, size)
    own = indices[:, None]
    return torch.cat([own, (own + steps.to(own.device)) % samples], 1)
