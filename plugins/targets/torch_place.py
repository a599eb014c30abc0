"""Where a torch program runs: a processor or a graphics card, with its settings."""

from __future__ import annotations

import os
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor

from stillhouse.core.errors import UserError
from stillhouse.plugins.targets.program import Program
from stillhouse.plugins.targets.program_module import built, made_up
from stillhouse.plugins.targets.quiet import quiet, reason

Call = Callable[[Tensor], Tensor]
ClockNs = Callable[[], int]


class Place(ABC):
    """A device with its settings. Final in a target's module."""

    name: str
    """The target's name."""
    device: torch.device
    batch: int
    tolerance: float
    mode: str
    """`"eager"` or `"compile"`."""
    patience_s: float
    """How long a measurement may wait for a quiet machine."""

    @abstractmethod
    def facts(self) -> Mapping[str, Any]:
        """What a latency here depends on beside model, mode and batch."""

    @abstractmethod
    def settings(self) -> Mapping[str, Any]:
        """The target's parameters, with which a fresh process makes the same place."""

    @abstractmethod
    def at_work(self) -> AbstractContextManager[object]:
        """Threads and precision as set, for as long as it lasts; nothing records gradients."""

    @abstractmethod
    def clock(self) -> ClockNs:
        """Counts nanoseconds; all that was asked of the device before has ended at its tick."""

    @abstractmethod
    def peak_bytes(self, work: Callable[[], object]) -> int:
        """By how much `work()` raises the memory in use at its highest, in this process."""


def call_of(program: Program, place: Place) -> Call:
    """The program ready to be called at a place, compiled where that is its mode.

    Compiling takes seconds to a minute. Raises `UserError` where it fails.
    """
    if place.mode == "eager":
        return built(program, place.device, bound=True)
    module = built(program, place.device, bound=False)
    compiled: Call = torch.compile(module.forward, fullgraph=True, dynamic=False)
    try:
        with quiet():
            compiled(made_up(program, place.device))
    except Exception as failed:  # dynamo and inductor raise whatever they like
        raise UserError(
            f"target {place.name}: torch.compile failed: {reason(failed)}; "
            f"use mode: eager, or mend what it names"
        ) from failed
    return compiled


def check_compiler(name: str, mode: str) -> None:
    """Raise `UserError` where `torch.compile` lacks the C++ compiler that it calls (`$CXX`)."""
    compiler = os.environ.get("CXX", "g++")
    if mode == "compile" and shutil.which(compiler) is None:
        raise UserError(
            f"target {name}: mode: compile needs the C++ compiler '{compiler}', which is not "
            f"installed here; install it, name another with the environment variable CXX, or use "
            f"mode: eager"
        )
