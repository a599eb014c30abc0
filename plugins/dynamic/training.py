"""Exits learn from what a frozen network shows at their taps."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, final

import torch
from torch import Tensor, nn

from stillhouse.core.distill.losses import soft_labels
from stillhouse.core.distill.settings import TrainSettings
from stillhouse.core.distill.taps import tapped
from stillhouse.core.distill.training import fit
from stillhouse.core.evaluate import Context, LossTerm, State
from stillhouse.core.evaluate.data import Batch
from stillhouse.core.evaluate.teacher import Observation
from stillhouse.plugins.dynamic.network import EarlyExitNetwork
from stillhouse.plugins.dynamic.placing import HEADS

_BACKBONE: Final = "backbone"


def trained(network: EarlyExitNetwork, state: State, params: Any, context: Context) -> int:
    """Train the exits in place on the task's loss and the last answer; optimiser steps taken.

    Each exit has a loss of its own (Teerapittayanon et al. 2016, equation 1). They share no
    weights, so that how the losses are weighed against each other does not matter.
    """
    epochs = round(params.epochs * context.fidelity)
    if epochs == 0 or state.student is None:
        return 0
    pupil = _Exits(network)
    settings = TrainSettings(
        epochs=epochs,
        batch_size=params.batch_size,
        learning_rate=params.learning_rate,
        task_weight=0.0,
    )
    terms = tuple(_term(key, params, context) for key in network.heads)
    result = fit(
        pupil,
        structure=state.student.structure,
        state=replace(state, terms=terms, masking=None),
        settings=settings,
        context=context,
        label="early-exit",
    )
    network.heads.load_state_dict(pupil.heads.state_dict())
    return result.updates


def _term(key: str, params: Any, context: Context) -> LossTerm:
    tap, task = f"{HEADS}.{key}", context.task

    def value(
        seen: Observation, teachers: Mapping[str, Observation], batch: Batch, adapter: Any
    ) -> Tensor:
        logits, last = seen.features[tap], seen.features[_BACKBONE].detach()
        loss = task.loss(logits, batch.targets)
        if params.imitate:
            loss = loss + params.imitate * soft_labels(logits, last, params.temperature)
        return loss

    name = f"exit {key} (imitate={params.imitate:g}, temperature={params.temperature:g})"
    return LossTerm(name, 1.0, value, student_taps=(tap, _BACKBONE))


@final
class _Exits(nn.Module):
    """Heads over a frozen network: it stays in eval mode, and gets no gradient."""

    def __init__(self, network: EarlyExitNetwork) -> None:
        super().__init__()
        own = copy.deepcopy(network)
        self.backbone, self.taps, self.heads = (
            own.backbone.requires_grad_(False),
            own.taps,
            own.heads,
        )

    def train(self, mode: bool = True) -> _Exits:
        super().train(mode)
        self.backbone.eval()
        return self

    def forward(self, inputs: Tensor) -> Tensor:
        with torch.no_grad():
            last, features = tapped(self.backbone, inputs, self.taps)
        for tap, head in zip(self.taps, self.heads.values(), strict=True):
            head(features[tap])
        return last
