"""The contract of a target: a runtime on a device with its settings."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from stillhouse.core.errors import StillhouseError
from stillhouse.core.measure.latency import Latency


class ExportError(StillhouseError):
    """A model cannot be written for a target, or answers differently there; names the model."""


@dataclass(frozen=True)
class Exported:
    """An artefact on disk and how it was made."""

    path: Path
    size_bytes: int
    exporter: str
    max_difference: float
    """Largest absolute difference between the runtime's outputs and torch's."""


class Target(ABC):
    """Exports, checks agreement, measures. Final in a plugin; built with its declared params."""

    name: str
    suffix: str

    @abstractmethod
    def identity(self) -> Mapping[str, Any]:
        """What a latency depends on beside the model: hardware, runtime, threads, batch."""

    @abstractmethod
    def export(self, module: nn.Module, example: Tensor, path: Path) -> Exported:
        """Write the artefact atomically and compare its outputs with torch's.

        Raises `ExportError` when the difference exceeds the target's tolerance or the graph
        cannot be exported, naming the operator where known.
        """

    @abstractmethod
    def measure(
        self, paths: Sequence[Path], example: Tensor | None, *, repeats: int, warmup: int
    ) -> list[Latency]:
        """Latency of several artefacts, interleaved so that drift hits all of them alike.

        Without an example each artefact runs on inputs made up to its own declared shapes.
        """

    @abstractmethod
    def run(self, path: Path, inputs: Tensor) -> NDArray[np.float32]:
        """Outputs of the artefact in the runtime, shape (batch, outputs)."""
