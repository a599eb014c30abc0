"""Teachers: anything that offers some of logits, features at named taps, attentions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import final

import torch
from torch import Tensor, nn

from stillhouse.core.distill.taps import tapped
from stillhouse.core.evaluate.answers import Answers
from stillhouse.core.evaluate.data import Split
from stillhouse.core.evaluate.padding import real_positions
from stillhouse.core.evaluate.views import Channels, chosen


@dataclass(frozen=True, eq=False)
class Observation:
    """What a model showed for one batch: `logits` (batch, classes), `features` by tap name.

    `mask` is bool (batch, positions), true where a position of the features is real and false where
    it is padding; None where all are real.
    """

    logits: Tensor
    features: Mapping[str, Tensor] = field(default_factory=dict)
    mask: Tensor | None = None


class Teacher(ABC):
    """Frozen source of targets. Composite, ensemble and averaged teachers implement the same."""

    taps: tuple[str, ...]
    """Module names that `observe` can be asked for, in order of depth."""
    widths: Mapping[str, int]
    """Feature width of each tap."""
    stages: tuple[int, ...] = ()
    """The stage of each tap, see `ModelFamily.stages`; empty where all are in one."""

    @abstractmethod
    def observe(self, inputs: Tensor, taps: tuple[str, ...] = ()) -> Observation:
        """Run on a batch of whole inputs, of which it takes its own channels: without gradient, in
        eval mode; features at the taps asked for."""


@final
class ModuleTeacher(Teacher):
    """One network as the teacher; put in eval mode and frozen.

    It runs once on each of the whole inputs in `seen`: for tasks that have no training views. It
    sees `channels` of them, () for all.
    """

    def __init__(
        self,
        module: nn.Module,
        taps: tuple[str, ...],
        widths: Mapping[str, int],
        seen: Split | None = None,
        stages: tuple[int, ...] = (),
        channels: Channels = (),
    ) -> None:
        self.module = module.eval().requires_grad_(False)
        self.taps, self.widths, self.stages = taps, dict(widths), stages
        self.channels = tuple(channels)
        self._answers = None if seen is None else Answers(seen)

    @torch.no_grad()
    def observe(self, inputs: Tensor, taps: tuple[str, ...] = ()) -> Observation:
        def show(given: Tensor) -> Sequence[Tensor]:
            logits, features = tapped(self.module, chosen(given, self.channels), taps)
            return [logits, *(features[tap] for tap in taps)]

        shown = show(inputs) if self._answers is None else self._answers.to(inputs, taps, show)
        logits, *features = shown
        mask = real_positions(self.module, chosen(inputs, self.channels))
        return Observation(logits, dict(zip(taps, features, strict=True)), mask)

    def forgetful(self) -> ModuleTeacher:
        """The same network as a teacher that keeps no answers: for passes over much data once."""
        return ModuleTeacher(self.module, self.taps, self.widths, channels=self.channels)
