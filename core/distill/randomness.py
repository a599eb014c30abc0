"""Torch's global generators, which dropout and fresh adapters draw from."""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch

from stillhouse.core.evaluate.context import Context


def own_randomness(context: Context) -> AbstractContextManager[None]:
    """Dropout draws from the global generators, which are given back as they were found."""
    devices = [torch.device(context.device)] if context.device.startswith("cuda") else []
    return torch.random.fork_rng(devices)


def reseed(context: Context, *labels: object) -> None:
    """Seed the global generators from the run's seed and the labels alone."""
    seed = context.seed(*labels)
    torch.default_generator.manual_seed(seed)
    if context.device.startswith("cuda"):
        torch.cuda.manual_seed(seed)
