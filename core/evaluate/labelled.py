"""Tasks with names for what a sample is, and training views of the sample."""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

import torch
from torch import Tensor
from torch.nn import functional

from stillhouse.core.evaluate.data import TaskData
from stillhouse.core.evaluate.task import Task
from stillhouse.core.plugin.metrics import CLASSIFICATION


class Labelled(Task):
    """Samples with names for what they are, and training views of them.

    Inputs are (frames, features), (samples,) of a waveform, or (tokens,), whole numbers. Training
    views move by up to `shift` frames or samples (frames repeat their edge, waveforms get silence),
    get noise of standard deviation `noise`, and lose up to `mask` of them in a row to zeros, the
    mean of standardised features (time masking of SpecAugment, Park et al. 2019, section 2).
    Whole numbers have no views but themselves.
    """

    def __init__(
        self,
        name: str,
        data: TaskData,
        labels: tuple[str, ...],
        *,
        shift: int = 0,
        noise: float = 0.0,
        mask: int = 0,
        preparation: str = "",
    ) -> None:
        self.name, self.data, self.labels = name, data, labels
        self.preparation = preparation
        self.input_shape = tuple(data.train.inputs.shape[1:])
        self.outputs = len(labels)
        self._shift, self._noise, self._mask = shift, noise, mask
        self.augments = data.train.inputs.is_floating_point() and any((shift, noise, mask))

    def augment(self, inputs: Tensor, generator: torch.Generator) -> Tensor:
        if not inputs.is_floating_point():
            return inputs
        if self._shift:
            inputs = self._shifted(inputs, generator)
        if self._noise:
            inputs = inputs + self._noise * torch.randn(inputs.shape, generator=generator)
        return self._masked(inputs, generator) if self._mask else inputs

    def _shifted(self, inputs: Tensor, generator: torch.Generator) -> Tensor:
        samples, frames = inputs.shape[:2]
        moves = torch.randint(-self._shift, self._shift + 1, (samples, 1), generator=generator)
        wanted = torch.arange(frames) - moves
        source = wanted.clamp(0, frames - 1)
        moved = inputs.gather(1, _along(source, inputs))
        return moved.masked_fill(source != wanted, 0.0) if inputs.ndim == 2 else moved

    def _masked(self, inputs: Tensor, generator: torch.Generator) -> Tensor:
        samples, frames = inputs.shape[:2]
        widest = min(self._mask, frames)
        widths = torch.randint(0, widest + 1, (samples, 1), generator=generator)
        places = torch.rand((samples, 1), generator=generator)
        starts = (places * (frames - widths + 1)).long()
        frame = torch.arange(frames)
        hidden = (frame >= starts) & (frame < starts + widths)
        return inputs.masked_fill(_along(hidden, inputs), 0.0)


@final
class Classification(Labelled):
    """One label a sample: cross-entropy, accuracy and log-loss."""

    metrics = CLASSIFICATION

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return functional.cross_entropy(outputs, targets)

    def score(self, outputs: Tensor, targets: Tensor) -> Mapping[str, float]:
        right = (outputs.argmax(1) == targets).double().mean()
        return {
            "accuracy": float(right),
            "log_loss": float(functional.cross_entropy(outputs.double(), targets)),
        }


def _along(frames: Tensor, inputs: Tensor) -> Tensor:
    """(samples, frames) as wide as inputs (samples, frames, ...)."""
    return frames.view(*frames.shape, *(1 for _ in inputs.shape[2:])).expand_as(inputs)
