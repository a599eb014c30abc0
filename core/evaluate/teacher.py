"""Teachers: anything that offers some of logits, features at named taps, attentions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import final

import torch
from torch import Tensor, nn

from stillhouse.core.distill.taps import tapped


@dataclass(frozen=True, eq=False)
class Observation:
    """What a model showed for one batch: `logits` (batch, classes), `features` by tap name."""

    logits: Tensor
    features: Mapping[str, Tensor] = field(default_factory=dict)


class Teacher(ABC):
    """Frozen source of targets. Composite, ensemble and averaged teachers implement the same."""

    taps: tuple[str, ...]
    """Module names that `observe` can be asked for, in order of depth."""
    widths: Mapping[str, int]
    """Feature width of each tap."""

    @abstractmethod
    def observe(self, inputs: Tensor, taps: tuple[str, ...] = ()) -> Observation:
        """Run on a batch without gradient, in eval mode; features at the taps asked for."""


@final
class ModuleTeacher(Teacher):
    """One network as the teacher; put in eval mode and frozen."""

    def __init__(self, module: nn.Module, taps: tuple[str, ...], widths: Mapping[str, int]) -> None:
        self.module = module.eval().requires_grad_(False)
        self.taps, self.widths = taps, dict(widths)

    @torch.no_grad()
    def observe(self, inputs: Tensor, taps: tuple[str, ...] = ()) -> Observation:
        logits, features = tapped(self.module, inputs, taps)
        return Observation(logits, features)
