"""A frozen teacher: trained weights kept as they are, its head alone trained on what they give."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final, final

import torch
from torch import Tensor, nn

from stillhouse.core.distill.settings import FitResult, TrainSettings
from stillhouse.core.distill.training import fit
from stillhouse.core.errors import UserError
from stillhouse.core.evaluate import Context, Split, State, Task, TaskData
from stillhouse.core.evaluate.artefacts import fingerprint

_AT_ONCE: Final = 64


@final
class PooledTask(Task):
    """A task whose inputs are what a frozen network's head is given; nothing is augmented."""

    augments = False

    def __init__(self, task: Task, data: TaskData) -> None:
        self.name, self.metrics, self.labels = task.name, task.metrics, task.labels
        self.input_shape, self.outputs = tuple(data.train.inputs.shape[1:]), task.outputs
        self.data, self._task, self.several = data, task, task.several

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return self._task.loss(outputs, targets)

    def score(self, outputs: Tensor, targets: Tensor) -> Mapping[str, float]:
        return self._task.score(outputs, targets)

    def augment(self, inputs: Tensor, generator: torch.Generator) -> Tensor:
        return inputs


def train_head(
    module: nn.Module, settings: TrainSettings, context: Context, label: str = "teacher"
) -> FitResult:
    """Train the head of `context.family`'s network in place; the rest runs once a sample.

    Inputs are seen as they are, without the task's training views. `label` is as for `fit`. Raises
    `UserError` for a family without a head of its own.
    """
    name = context.family.head(context.full)
    if name is None:
        raise UserError(
            f"{label}.freeze: '{context.family.name}' has no head of its own to train; take "
            "freeze out"
        )
    head = module.get_submodule(name)
    data = _pooled(module, head, context, label)
    return fit(
        head,
        structure=context.full,
        state=State({}, data),
        settings=settings,
        context=replace(context, task=PooledTask(context.task, data)),
        label=label,
    )


def _pooled(module: nn.Module, head: nn.Module, context: Context, label: str) -> TaskData:
    """The data with what the head is given for every sample in place of the inputs."""
    data = context.task.data
    found: list[Tensor] = []
    handle = head.register_forward_pre_hook(lambda _, given: found.append(given[0].float().cpu()))
    device = torch.device(context.device)
    module.eval().to(device)
    try:
        samples = len(data.train) + len(data.validation)
        with context.task_progress(f"{label}/features", samples) as p:
            train, validation = (
                _seen(module, split, found, device, p.advance)
                for split in (data.train, data.validation)
            )
    finally:
        handle.remove()
        module.to("cpu")
    sha256 = fingerprint(data.sha256, "pooled", context.root_seed)
    return replace(data, train=train, validation=validation, sha256=sha256)


@torch.no_grad()
def _seen(
    module: nn.Module,
    split: Split,
    found: list[Tensor],
    device: torch.device,
    advance: Callable[[int], None],
) -> Split:
    found.clear()
    for batch in split.batches(_AT_ONCE):
        module(batch.inputs.to(device))
        advance(len(batch.targets))
    return replace(split, inputs=torch.cat(found).clone(), whole=None)
