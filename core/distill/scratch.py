"""The honest control: a network of the same shape, trained alone."""

from __future__ import annotations

from dataclasses import replace

from stillhouse.core.distill.settings import TrainSettings
from stillhouse.core.distill.training import fit
from stillhouse.core.evaluate.context import Context
from stillhouse.core.evaluate.state import State, Student


def train_from_scratch(
    fresh: Student,
    updates: int,
    state: State,
    context: Context,
    settings: TrainSettings,
    label: str = "scratch",
) -> Student:
    """Train a network with fresh weights, in place, for exactly `updates` optimiser steps.

    Uses the state's teachers, data and loss terms, so that nothing but the starting weights and
    the company of other subnets differs from what it is compared with. Sampling settings of
    supernets do not apply to it. Deterministic in `fresh`, `context` and `label`.
    """
    result = fit(
        fresh.module,
        structure=fresh.structure,
        state=state,
        settings=settings.alone(),
        context=context,
        label=label,
        stop_after=updates,
    )
    return replace(fresh, updates=result.updates)
