"""What an assistant learns beside the labels, by topology."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from stillhouse.core.distill.losses import distilled, softened
from stillhouse.core.evaluate import Batch, LossTerm, Observation


def sources(topology: str, before: Sequence[str]) -> tuple[str, ...]:
    """Of those that stand before an assistant, the teacher first, the ones that it learns from."""
    if topology == "flat":
        return (before[0],)
    return (before[-1],) if topology == "cascade" else tuple(before)


def lesson(names: Sequence[str], share: float, temperature: float, sigmoid: bool) -> LossTerm:
    """tau^2 KL against every one of some teachers, added up; of several one is left out.

    Which one is drawn anew for every update, from the seed that torch's generator then has (DGKD,
    arXiv:2009.08825, section 3.3: stochastic learning).
    """

    def value(
        student: Observation,
        teachers: Mapping[str, Observation],
        batch: Batch,
        adapter: nn.Module | None,
    ) -> Tensor:
        left_out = _left_out(len(names))
        parts = [
            distilled(
                student.logits,
                softened(teachers[name].logits, temperature, sigmoid),
                temperature,
                sigmoid,
            )
            for place, name in enumerate(names)
            if place != left_out
        ]
        return torch.stack(parts).sum()

    said = f"lesson(from={'+'.join(names)} temperature={temperature:g})"
    return LossTerm(said, share, value, teachers=tuple(names))


def _left_out(count: int) -> int:
    """The same in all parts of an update, and in all processes that share it; -1 of one."""
    # Not from the generator itself: dropout has moved it by as much as a process's rows take.
    generator = torch.Generator().manual_seed(torch.initial_seed())
    return int(torch.randint(count, (), generator=generator)) if count > 1 else -1
