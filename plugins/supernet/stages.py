"""The two stages of supernet training."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from stillhouse.core.cost.terms import parameters
from stillhouse.core.distill.paths import PathSampler, Sandwich, SizeBins, Uniform
from stillhouse.core.distill.settings import FitResult, TrainSettings
from stillhouse.core.distill.training import fit
from stillhouse.core.errors import UserError
from stillhouse.core.evaluate import Context, ElasticModule, ModuleTeacher, State
from stillhouse.core.space import Codes, Space

TEACHER = "teacher"


def full_student(
    state: State, params: Any, settings: TrainSettings, context: Context
) -> tuple[nn.Module, FitResult]:
    """Stage 1: the full-size student alone.

    Raises:
        UserError: `initial: teacher` and the teacher is not one network of this structure.
    """
    seed = context.seed("supernet", "weights")
    module = context.family.build(context.full, torch.Generator().manual_seed(seed))
    if params.initial == "teacher":
        _take_weights(module, state)
    result = fit(
        module,
        structure=context.full,
        state=state,
        settings=replace(settings.alone(), epochs=params.full_epochs),
        context=context,
        label="supernet/full",
    )
    return module, result


def sampled_subnets(
    elastic: ElasticModule,
    space: Space,
    state: State,
    params: Any,
    settings: TrainSettings,
    context: Context,
) -> FitResult:
    """Stage 2: subnets drawn in every update, against the state's teachers."""
    return fit(
        elastic,
        structure=context.full,
        state=state,
        settings=settings,
        context=context,
        label="supernet/sampled",
        paths=path_sampler(space, params, context),
    )


def path_sampler(space: Space, params: Any, context: Context) -> PathSampler:
    """The sampler that the parameters name."""
    if params.sampler == "uniform":
        return Uniform(space)
    if params.sampler == "sandwich":
        return Sandwich(space, params.middle)

    def count(codes: Codes) -> np.ndarray:
        return parameters(context.family.sheet(context.full, space.columns(codes)))

    return SizeBins(space, count, np.random.default_rng(context.seed("supernet", "size bins")))


def _take_weights(module: nn.Module, state: State) -> None:
    teacher = state.teachers.get(TEACHER)
    if not isinstance(teacher, ModuleTeacher):
        raise UserError(
            f"initial: teacher needs a '{TEACHER}' that is one network; use initial: fresh"
        )
    weights = teacher.module.state_dict()
    shapes = {name: tensor.shape for name, tensor in module.state_dict().items()}
    if shapes != {name: tensor.shape for name, tensor in weights.items()}:
        raise UserError(
            "initial: teacher needs a teacher of the student's full structure, got one with other "
            "weights; use initial: fresh"
        )
    module.load_state_dict(weights)
