"""The honest control: a network of the same structure, trained alone."""

from __future__ import annotations

import torch

from stillhouse.core.distill.settings import TrainSettings
from stillhouse.core.distill.training import fit
from stillhouse.core.evaluate.context import Context
from stillhouse.core.evaluate.state import State, Structure, Student


def train_from_scratch(
    structure: Structure,
    updates: int,
    state: State,
    context: Context,
    settings: TrainSettings,
    label: str = "scratch",
) -> Student:
    """Fresh weights of a structure, trained for exactly `updates` optimiser steps.

    Uses the state's teachers, data and loss terms, so that nothing but the starting weights and
    the company of other subnets differs from what it is compared with. Sampling settings of
    supernets do not apply to it. Deterministic in `context` and `label`.
    """
    generator = torch.Generator().manual_seed(context.seed(label, "weights"))
    module = context.family.build(structure, generator)
    result = fit(
        module,
        structure=structure,
        state=state,
        settings=settings.alone(),
        context=context,
        label=label,
        stop_after=updates,
    )
    return Student(context.family.name, structure, module, result.updates)
