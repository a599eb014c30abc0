"""A task: data, a supervised loss, metrics, and an example input for export."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from stillhouse.core.evaluate.data import Batch, TaskData
from stillhouse.core.evaluate.views import Channels, chosen, settled, viewed_data
from stillhouse.core.plugin.metrics import Metric


class Task(ABC):
    """What a model must do well. Built once a run, by a task plugin."""

    name: str
    metrics: tuple[Metric, ...]
    input_shape: tuple[int, ...]
    """Shape of one input without the batch, e.g. (frames, features)."""
    outputs: int
    """Width of the model's output (number of classes)."""
    labels: tuple[str, ...]
    data: TaskData
    preparation: str = ""
    """How an input is made of what a user has, in a sentence for the model card."""
    augments: bool = True
    """False where `augment` never changes anything: a frozen teacher then runs once a sample."""
    several: bool = False
    """True where a sample has any number of labels: targets are then float32 of 0 and 1, (samples,
    labels), and outputs are logits of the same shape, one sigmoid each."""

    channels: Channels = ()
    """Which channels of the whole inputs (their last axis) the student sees; () for all."""
    _whole: Task | None = None

    @abstractmethod
    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The supervised loss, a scalar, mean over the batch."""

    @abstractmethod
    def score(self, outputs: Tensor, targets: Tensor) -> Mapping[str, float]:
        """Every metric over a whole split's outputs (samples, outputs)."""

    @abstractmethod
    def augment(self, inputs: Tensor, generator: torch.Generator) -> Tensor:
        """A training view of a batch of whole inputs, of the same shape; identity where a task has
        none."""

    def training_view(self, batch: Batch, generator: torch.Generator) -> Batch:
        """A batch in training: augmented once, what the student sees being channels of that."""
        whole = self.augment(batch.seen, generator)
        if not self.channels:
            return replace(batch, inputs=whole)
        return replace(batch, inputs=chosen(whole, self.channels), whole=whole)

    def viewed(self, channels: Channels) -> Task:
        """This task as a student of these channels of the whole inputs sees it; () for all.

        A task that is a view already is viewed anew, not the view. Raises `UserError` for channels
        that are not there, or twice, and inputs without channels.
        """
        whole = self if self._whole is None else self._whole
        channels = settled(channels, whole.input_shape)
        if not channels:
            return whole
        task = copy.copy(whole)
        task.channels, task.data = channels, viewed_data(whole.data, channels)
        task.input_shape, task._whole = (*whole.input_shape[:-1], len(channels)), whole
        return task

    def example(self, batch: int) -> Tensor:
        """Inputs (batch, *input_shape) from the validation split, for export and timing."""
        inputs = self.data.validation.inputs
        return inputs[torch.arange(batch) % len(inputs)].clone()
