"""What a distillation loss is: a small module that compares what teacher and student show."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import Tensor, nn


@dataclass(frozen=True)
class HintShapes:
    """What a loss is built for.

    `widths` are channels of student and teacher for each pair of taps, in order of depth; those of
    an elastic student are its widest. `samples` is the length of the training split.
    """

    widths: tuple[tuple[int, int], ...]
    samples: int
    classes: int


@dataclass(frozen=True, eq=False)
class Hints:
    """What teacher and student show for a batch.

    `student` and `teacher` hold a feature for each pair of taps, (batch, *positions, channels),
    the two of a pair with equal positions: none, one axis (frames) or two (rows, columns). A
    student of an elastic width shows its first channels. Nothing of the teacher's has a gradient.
    `indices` are the samples' places in the training split.
    """

    student: tuple[Tensor, ...]
    teacher: tuple[Tensor, ...]
    student_logits: Tensor
    teacher_logits: Tensor
    targets: Tensor
    indices: Tensor


class HintLoss(nn.Module, ABC):
    """A loss with its adapter: its parameters train beside the student and are never exported.

    Built as `loss(shapes)` while torch's generator is seeded; draws of `forward` come from torch's
    generator too, seeded for every update.
    """

    def __init__(self, shapes: HintShapes) -> None:
        super().__init__()
        self.shapes = shapes

    def begin(self, hints: Hints) -> None:
        """See the first batch before training; for constants that the teacher's features set."""

    @abstractmethod
    def forward(self, hints: Hints) -> Tensor:
        """The loss, a scalar: summed over pairs, a mean over the batch."""
