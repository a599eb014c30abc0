"""What cannot have early exits is refused in words before anything is trained."""

from __future__ import annotations

from typing import Final, final

import numpy as np
import torch
from torch import Tensor, nn

from stillhouse.core.cost.terms import macs
from stillhouse.core.errors import UserError
from stillhouse.core.evaluate import Choice, Context, Method
from stillhouse.plugins.dynamic.heads import ExitHead, drawn
from stillhouse.plugins.dynamic.network import EarlyExitNetwork
from stillhouse.plugins.dynamic.placing import refuse_names

_ROOM: Final = 1.001


def refuse(method: Method, choice: Choice, context: Context) -> None:
    """Raise UserError for tasks, networks, taps, costs and targets that cannot work."""
    _refuse_task(context)
    taps = list(context.family.taps(context.full))
    _refuse_taps(taps, choice.params.taps, context)
    _refuse_cost(method, choice, context)
    _refuse_target(context)


def _refuse_task(context: Context) -> None:
    task = context.task
    if task.several or task.outputs < 2:
        came = "any number of labels a sample" if task.several else f"{task.outputs} outputs"
        raise UserError(
            f"early-exit: expected a task of one label among several, since an exit is sure of one "
            f"answer; {task.name} has {came}; leave early-exit out"
        )


def _refuse_taps(taps: list[str], wanted: str, context: Context) -> None:
    if len(taps) < 2:
        raise UserError(
            f"early-exit: expected a network with a tap before its last one, got "
            f"{context.family.name} with {len(taps)}; use a deeper network, or leave early-exit out"
        )
    refuse_names(taps, wanted)


def _refuse_cost(method: Method, choice: Choice, context: Context) -> None:
    """The least that exits come to, when nearly all samples leave at the first."""
    if choice.params.cost is None:
        return
    family = context.family
    plain = family.sheet(context.full, family.columns([context.full]))
    columns = {name: np.array([value], object) for name, value in vars(choice.params).items()}
    share = float(macs(method.sheet(plain, columns, context))[0] / macs(plain)[0])
    if share > choice.params.cost * _ROOM:
        raise UserError(
            f"early-exit: cost: expected a share of the network's multiply-accumulates that exits "
            f"can meet, got {choice.params.cost:g}; with nearly every sample leaving at the first "
            f"exit it is {share:.3g}; raise cost, or name an earlier tap"
        )


def _refuse_target(context: Context) -> None:
    """Have the run's target deploy a network with an exit and next to nothing else."""
    if context.graph is None:
        return
    head = drawn(ExitHead(1, 2, "mean"), torch.Generator().manual_seed(0))
    context.graph(EarlyExitNetwork(_Two(), {"inner": head}, "entropy").eval())


@final
class _Two(nn.Module):
    """Two numbers from any input."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Identity()

    def forward(self, inputs: Tensor) -> Tensor:
        mean = self.inner(inputs.float().flatten(1).mean(1, keepdim=True))
        return torch.cat([mean, -mean], 1)
