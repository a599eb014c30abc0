"""The contract of a target: a runtime on a device with its settings."""

from __future__ import annotations

import tempfile
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from stillhouse.core.cost.latency.shapes import Shape
from stillhouse.core.errors import StillhouseError, UserError
from stillhouse.core.measure.graph_form import Graph
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
    reference_ms: float | None = None
    """Best time of the reference kernel known on this device: `measure` goes by it and lowers it.

    Whoever holds a device file sets it beforehand, and keeps it afterwards.
    """

    @abstractmethod
    def identity(self) -> Mapping[str, Any]:
        """What a latency depends on beside the model: hardware, runtime, threads, batch."""

    @abstractmethod
    def export(self, module: nn.Module, example: Tensor, path: Path) -> Exported:
        """Write the artefact atomically and compare its outputs with torch's.

        Raises `ExportError` when the difference exceeds the target's tolerance or the graph
        cannot be exported, naming the operator where known.
        """

    def graph(self, module: nn.Module, example: Tensor) -> Graph:
        """The graph of a network as this target would deploy it, before it is written.

        Of a module that returns several tensors, its outputs are in their order. Raises
        `ExportError` as `export` does, and `UserError` where the target knows no graphs; that is
        the default.
        """
        raise UserError(
            f"target {self.name} deploys no graph that a method could change; use one that does "
            "(onnxruntime-cpu)"
        )

    def ways(self, artefact: Path, folder: Path) -> list[Path]:
        """Of an artefact that stops early (see `THRESHOLD`) a file for each way to run.

        Each goes its way with every sample; they are written to `folder`, and listed the shortest
        first. Empty for an artefact that runs alike for all samples; that is the default.
        """
        return []

    @abstractmethod
    def measure(
        self, paths: Sequence[Path], example: Tensor | None, *, repeats: int, warmup: int
    ) -> list[Latency]:
        """Latency of several artefacts, interleaved so that drift hits all of them alike.

        Without an example each artefact runs on inputs made up to its own declared shapes; whole
        numbers lie in the range of the example it was exported with.
        """

    @abstractmethod
    def measure_afresh(
        self, paths: Sequence[Path], *, repeats: int, warmup: int, processes: int
    ) -> list[list[Latency]]:
        """As `measure` without example, in so many fresh processes, one after another.

        Latencies by process, then by artefact: (processes, artefacts).
        """

    def measure_lengths(
        self, module: nn.Module, examples: Sequence[Tensor], *, repeats: int, warmup: int
    ) -> list[Latency]:
        """Latency of a module for each example, say one for every input length.

        Each is exported at its own shape; all are timed together. Raises as `export` does.
        """
        with tempfile.TemporaryDirectory(prefix="stillhouse-") as folder:
            places = [Path(folder) / f"{i}{self.suffix}" for i in range(len(examples))]
            paths = [
                self.export(module, example, place).path
                for example, place in zip(examples, places, strict=True)
            ]
            return self.measure(paths, None, repeats=repeats, warmup=warmup)

    def peak_memory(self, paths: Sequence[Path]) -> list[int]:
        """Bytes of resident memory that loading and running each artefact adds at its peak.

        Raises `UserError` where the target cannot tell; that is the default.
        """
        raise UserError(
            f"target {self.name} does not measure memory; limit memory_kb, which is counted, or "
            "use a target that does (onnxruntime-cpu)"
        )

    @abstractmethod
    def run(self, path: Path, inputs: Tensor) -> NDArray[np.float32]:
        """Outputs of the artefact in the runtime, shape (batch, outputs)."""

    def write_block(self, shape: Shape | None, copies: int, path: Path) -> Path | None:
        """Write a file that runs `copies` of a block side by side, for `measure` without example.

        Without a shape the file does all the same but for the blocks: what it takes is no block's.
        None where the target, or its settings, have no such block; that is the default.
        """
        return None

    def standalone_script(self) -> str | None:
        """Source of one program that measures a bundle where stillhouse is not installed.

        It reads `manifest.json` in its own folder and writes `result.json` (see
        `core.measure.bundle`). None where there is no such program; that is the default.
        """
        return None

    def pool_weights(self, paths: Sequence[Path], pool: Path) -> None:
        """Rewrite artefacts of random weights so that they share them in the file `pool`.

        For bundles, which should be small. By default artefacts keep their weights.
        """
        return
