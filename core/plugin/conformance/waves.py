"""The task in memory: noise around a mean that tells the label."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from stillhouse.core.evaluate import Classification, Split, TaskData
from stillhouse.core.evaluate.data import SplitName

LABELS = ("a", "b", "c")


def conformance_task(params: Any) -> Classification:
    """24, 6, 6 and 6 samples; the same at every call."""
    generator = torch.Generator().manual_seed(0)
    shape, tokens = tuple(params.shape), params.tokens

    def split(name: SplitName, samples: int) -> Split:
        targets = torch.arange(samples) % len(LABELS)
        return Split(name, _inputs(targets, shape, tokens, generator), targets)

    data = TaskData(
        split("train", 24), split("tuning", 6), split("validation", 6), split("test", 6),
        f"conformance {shape} {tokens}",
    )  # fmt: skip
    return Classification("conformance", data, LABELS)


def _inputs(
    targets: Tensor, shape: tuple[int, ...], tokens: int, generator: torch.Generator
) -> Tensor:
    means = targets.view(-1, *(1 for _ in shape))
    if tokens:
        drawn = torch.randint(1, tokens, (len(targets), *shape), generator=generator)
        return (drawn + means).clamp(max=tokens - 1)
    return torch.randn(len(targets), *shape, generator=generator) + means
