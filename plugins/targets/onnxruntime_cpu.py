"""ONNX Runtime on the machine's own processor."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final, cast, final

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from torch import Tensor, nn

from stillhouse.core.cost.latency.shapes import Shape
from stillhouse.core.errors import UserError
from stillhouse.core.measure import (
    Exported,
    ExportError,
    Graph,
    GraphForm,
    Latency,
    Reference,
    Target,
)
from stillhouse.core.measure.inputs import ids_of
from stillhouse.plugins.targets import runner, sessions
from stillhouse.plugins.targets.agreement import array, difference, in_batches
from stillhouse.plugins.targets.blocks import block_model
from stillhouse.plugins.targets.exporters import INPUT, OUTPUT, exported_graph
from stillhouse.plugins.targets.graph_file import read_graph
from stillhouse.plugins.targets.info import OnnxRuntimeCpuParams
from stillhouse.plugins.targets.packed_signs import pack_signs
from stillhouse.plugins.targets.sparse_weights import pack_zeros
from stillhouse.plugins.targets.standalone import run_alone, script
from stillhouse.plugins.targets.tidy import tidied, write
from stillhouse.plugins.targets.ways import ways
from stillhouse.plugins.targets.weight_pool import pool_weights

_TOGETHER: Final = 64
"""So many artefacts are in memory at once in a fresh process, and timed beside each other."""


@final
class OnnxRuntimeCpu(Target):
    """Models as ONNX files of fixed shape, run by ONNX Runtime with a fixed number of threads.

    Raises `UserError` when built for more threads than there are cores, or to pin threads where
    the operating system cannot. `clock` counts nanoseconds; `today` gives the date written beside
    a latency, as YYYY-MM-DD.
    """

    name = "onnxruntime-cpu"
    suffix = ".onnx"

    def __init__(
        self,
        params: OnnxRuntimeCpuParams,
        clock: Callable[[], int] = time.perf_counter_ns,
        today: Callable[[], str] = runner.today,
    ) -> None:
        try:
            sessions.check_threads(params.threads)
            sessions.check_affinity(params.affinity)
        except sessions.MeasureError as error:
            raise UserError(f"target {self.name}: {error}") from error
        self.params, self._clock, self._today = params, clock, today

    def identity(self) -> Mapping[str, Any]:
        return {
            **runner.identity(self._settings()),
            "exporter": self.params.exporter,
            "opset": self.params.opset,
        }

    def export(self, module: nn.Module, example: Tensor, path: Path) -> Exported:
        self._check_batch(example)
        tidy, exporter = self._graph(module, example)
        pack_zeros(tidy)
        pack_signs(tidy)
        ids = ids_of(example)
        if ids is not None:
            onnx.helper.set_model_props(tidy, {sessions.IDS: f"{ids[0]} {ids[1]}"})
        session = sessions.session(tidy.SerializeToString(), self.params.threads)
        remedy = (
            "raise the target's tolerance if the model may lose that much, or try its other "
            "exporter"
        )
        worst = difference(
            module,
            example,
            lambda x: session.run([OUTPUT], {INPUT: array(x)})[0],
            self.params.tolerance,
            remedy,
        )
        write(tidy, path)
        return Exported(path, path.stat().st_size, exporter, worst)

    def graph(self, module: nn.Module, example: Tensor) -> Graph:
        return self._graph(module, example)[0]

    def _graph(self, module: nn.Module, example: Tensor) -> tuple[onnx.ModelProto, str]:
        form = module if isinstance(module, GraphForm) else None
        traced = form.traced() if form else module
        if traced is None:
            graph = cast("GraphForm", form).finished(None)
            _check_input(graph, example)
            return graph, "none"
        exporter, opset = self.params.exporter, self.params.opset
        model, used = exported_graph(traced, example, exporter, opset)
        tidy = _tidied(model, opset, type(module).__name__)
        return (form.finished(tidy) if form else tidy), used

    def ways(self, artefact: Path, folder: Path) -> list[Path]:
        return ways(artefact, folder)

    def measure(
        self, paths: Sequence[Path], example: Tensor | None, *, repeats: int, warmup: int
    ) -> list[Latency]:
        if example is not None:
            self._check_batch(example)
        reference = Reference(self.reference_ms, clock=self._clock)
        feed = partial(_feed, example) if example is not None else None
        with _reported():
            found = sessions.latencies(
                paths,
                self._settings(),
                reference,
                repeats=repeats,
                warmup=warmup,
                clock=self._clock,
                date=self._today(),
                feed=feed,
            )
        self.reference_ms = reference.best_ms
        return found

    def measure_afresh(
        self, paths: Sequence[Path], *, repeats: int, warmup: int, processes: int
    ) -> list[list[Latency]]:
        _check_graphs(paths)
        found: list[list[Latency]] = []
        for _ in range(processes if paths else 0):
            result = self._alone(paths, repeats=repeats, warmup=warmup)
            self.reference_ms = result["reference"]["ms"]
            latencies = result["latencies"]
            found.append([Latency(**latencies[str(i)]) for i in range(len(paths))])
        return found or [[] for _ in range(processes)]

    def peak_memory(self, paths: Sequence[Path]) -> list[int]:
        _check_graphs(paths)
        memory = self._alone(paths, "--memory", repeats=0, warmup=0)["memory"]
        return [memory[str(i)]["peak_bytes"] for i in range(len(paths))]

    def _alone(
        self, paths: Sequence[Path], *flags: str, repeats: int, warmup: int
    ) -> Mapping[str, Any]:
        manifest = {
            "format": runner.FORMAT,
            "target": self.name,
            "settings": self._settings(),
            "reference_ms": self.reference_ms,
            "repeats": repeats,
            "warmup": warmup,
            "group": _TOGETHER,
            "artefacts": [{"key": str(i), "path": str(p.resolve())} for i, p in enumerate(paths)],
        }
        return run_alone(manifest, *flags)

    def _settings(self) -> Mapping[str, Any]:
        params = self.params
        return {
            "threads": params.threads,
            "batch": params.batch,
            "affinity": params.affinity,
            "patience_s": params.patience_s,
        }

    def run(self, path: Path, inputs: Tensor) -> NDArray[np.float32]:
        """Outputs for any number of inputs, in batches of the size the file was exported for."""
        _check_graphs([path])
        with _reported():
            session = sessions.opened(path, self.params.threads)
        given, name = session.get_inputs()[0], session.get_outputs()[0].name
        _check_shape(path, given.shape[1:], inputs.shape[1:])
        return in_batches(
            inputs, given.shape[0], lambda x: session.run([name], {given.name: array(x)})[0]
        )

    def write_block(self, shape: Shape | None, copies: int, path: Path) -> Path | None:
        model = block_model(shape, copies, self.params.batch, self.params.opset)
        if model is None:
            return None
        write(model, path)
        return path

    def standalone_script(self) -> str:
        return script()

    def pool_weights(self, paths: Sequence[Path], pool: Path) -> None:
        pool_weights(paths, pool)

    def _check_batch(self, example: Tensor) -> None:
        if len(example) != self.params.batch:
            raise ValueError(
                f"onnxruntime-cpu is set to batches of {self.params.batch}, the example has "
                f"{len(example)} inputs"
            )


def _check_graphs(paths: Sequence[Path]) -> None:
    """Refuse what `read_graph` does: these files may not be this process's own work."""
    for path in filter(Path.exists, paths):
        read_graph(path)


@contextmanager
def _reported() -> Iterator[None]:
    """The runner's errors as those of this package."""
    try:
        yield
    except sessions.MeasureError as error:
        raise UserError(str(error)) from error


def _check_input(graph: onnx.ModelProto, example: Tensor) -> None:
    takes = tuple(size.dim_value for size in graph.graph.input[0].type.tensor_type.shape.dim)
    if takes != tuple(example.shape):
        raise ExportError(
            f"the model is a finished graph for inputs of shape {takes}, which cannot take "
            f"{tuple(example.shape)}; use it as it is, or search with that batch and input length"
        )


def _tidied(model: onnx.ModelProto, opset: int, name: str) -> onnx.ModelProto:
    try:
        return tidied(model, opset)
    except Exception as failed:  # the runtime raises its own types and plain RuntimeError
        reason = str(failed).strip().splitlines()[0]
        raise ExportError(
            f"{name}: ONNX Runtime {onnxruntime.__version__} cannot run the exported graph: "
            f"{reason}; replace the operator it names, or lower the target's opset"
        ) from failed


def _feed(example: Tensor, path: Path, session: onnxruntime.InferenceSession) -> sessions.Feed:
    given = session.get_inputs()[0]
    _check_shape(path, given.shape, example.shape)
    return {given.name: array(example)}


def _check_shape(path: Path, takes: Sequence[int], got: Sequence[int]) -> None:
    if list(takes) != list(got):
        raise UserError(
            f"{path} takes inputs of shape {tuple(takes)}, got {tuple(got)}; export the model "
            f"again for that shape"
        )
