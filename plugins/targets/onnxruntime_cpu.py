"""ONNX Runtime on the machine's own processor."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, final

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from stillhouse.core.errors import UserError
from stillhouse.core.measure import (
    Exported,
    ExportError,
    Latency,
    Target,
    interleaved,
    machine,
)
from stillhouse.plugins.targets.exporters import INPUT, OUTPUT, exported_graph
from stillhouse.plugins.targets.info import OnnxRuntimeCpuParams
from stillhouse.plugins.targets.tidy import tidied, write


def _today() -> str:
    return datetime.datetime.now(datetime.UTC).date().isoformat()


@final
class OnnxRuntimeCpu(Target):
    """Models as ONNX files of fixed shape, run by ONNX Runtime with a fixed number of threads.

    Raises `UserError` when built for more threads than there are cores. `clock` counts
    nanoseconds; `today` gives the date written beside a latency, as YYYY-MM-DD.
    """

    name = "onnxruntime-cpu"
    suffix = ".onnx"

    def __init__(
        self,
        params: OnnxRuntimeCpuParams,
        clock: Callable[[], int] = time.perf_counter_ns,
        today: Callable[[], str] = _today,
    ) -> None:
        cores = machine()["cores"]
        if not 1 <= params.threads <= cores:
            raise UserError(
                f"target onnxruntime-cpu: threads: expected 1 to {cores} (the cores this process "
                f"may use), got {params.threads}"
            )
        self.params, self._clock, self._today = params, clock, today

    def identity(self) -> Mapping[str, Any]:
        return {
            "target": self.name,
            **machine(),
            "runtime": f"onnxruntime {onnxruntime.__version__}",
            "threads": self.params.threads,
            "batch": self.params.batch,
            "exporter": self.params.exporter,
            "opset": self.params.opset,
        }

    def export(self, module: nn.Module, example: Tensor, path: Path) -> Exported:
        self._check_batch(example)
        model, exporter = exported_graph(module, example, self.params.exporter, self.params.opset)
        tidy = _tidied(model, self.params.opset, type(module).__name__)
        difference = self._difference(module, example, tidy)
        write(tidy, path)
        return Exported(path, path.stat().st_size, exporter, difference)

    def measure(
        self, paths: Sequence[Path], example: Tensor | None, *, repeats: int, warmup: int
    ) -> list[Latency]:
        if example is not None:
            self._check_batch(example)
        sessions = [self._open(path) for path in paths]
        given = None if example is None else {INPUT: _array(example)}
        calls = [_call(session, given or _made_up(session)) for session in sessions]
        return interleaved(
            calls, repeats=repeats, warmup=warmup, clock=self._clock, date=self._today()
        )

    def run(self, path: Path, inputs: Tensor) -> NDArray[np.float32]:
        """Outputs for any number of inputs, in batches of the size the file was exported for."""
        session = self._open(path)
        batch, array = session.get_inputs()[0].shape[0], _array(inputs)
        outputs = [
            session.run([OUTPUT], {INPUT: _filled(array[i : i + batch], batch)})[0]
            for i in range(0, len(array), batch)
        ]
        return np.concatenate(outputs)[: len(array)]

    def _check_batch(self, example: Tensor) -> None:
        if len(example) != self.params.batch:
            raise ValueError(
                f"onnxruntime-cpu is set to batches of {self.params.batch}, the example has "
                f"{len(example)} inputs"
            )

    def _difference(self, module: nn.Module, example: Tensor, model: onnx.ModelProto) -> float:
        session = self._session(model.SerializeToString())
        worst = [
            float(
                np.abs(session.run([OUTPUT], {INPUT: _array(x)})[0] - _reference(module, x)).max()
            )
            for x in _probes(example)
        ]
        difference = float(np.max(worst))
        # Written so that NaN is refused too.
        if not difference <= self.params.tolerance:
            raise ExportError(
                f"{type(module).__name__}: the exported model's outputs differ from torch's by "
                f"{difference:.3g}, more than the tolerance of {self.params.tolerance:g}; raise "
                f"the target's tolerance if the model may lose that much, or try its other exporter"
            )
        return difference

    def _open(self, path: Path) -> onnxruntime.InferenceSession:
        try:
            return self._session(str(path))
        except Exception as failed:  # the runtime raises its own types and plain RuntimeError
            reason = str(failed).strip().splitlines()[0]
            raise UserError(
                f"cannot load {path} in ONNX Runtime {onnxruntime.__version__}: {reason}; expected "
                f"an ONNX model that this version can read"
            ) from failed

    def _session(self, model: str | bytes) -> onnxruntime.InferenceSession:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.params.threads
        options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.log_severity_level = 4
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _tidied(model: onnx.ModelProto, opset: int, name: str) -> onnx.ModelProto:
    try:
        return tidied(model, opset)
    except Exception as failed:  # the runtime raises its own types and plain RuntimeError
        reason = str(failed).strip().splitlines()[0]
        raise ExportError(
            f"{name}: ONNX Runtime {onnxruntime.__version__} cannot run the exported graph: "
            f"{reason}; replace the operator it names, or lower the target's opset"
        ) from failed


def _probes(example: Tensor) -> list[Tensor]:
    """The example, and its negative: a branch that tracing froze shows where inputs differ."""
    return [example, -example] if example.is_floating_point() else [example]


def _reference(module: nn.Module, example: Tensor) -> NDArray[Any]:
    training = [part for part in module.modules() if part.training]
    try:
        with torch.no_grad():
            return _array(module.eval()(example))
    finally:
        for part in training:
            part.training = True


def _array(tensor: Tensor) -> NDArray[Any]:
    plain = tensor.detach().cpu()
    return np.ascontiguousarray((plain.float() if plain.is_floating_point() else plain).numpy())


def _filled(inputs: NDArray[Any], batch: int) -> NDArray[Any]:
    """The last batch made whole by repeating its first input."""
    missing = batch - len(inputs)
    return np.concatenate([inputs, np.repeat(inputs[:1], missing, 0)]) if missing else inputs


def _call(
    session: onnxruntime.InferenceSession, feed: Mapping[str, NDArray[Any]]
) -> Callable[[], object]:
    outputs = [output.name for output in session.get_outputs()]
    return lambda: session.run(outputs, feed)


def _made_up(session: onnxruntime.InferenceSession) -> dict[str, NDArray[Any]]:
    """Normally distributed inputs, or zeros of a whole-number type, of the declared shapes."""
    rng, feed = np.random.default_rng(0), {}
    for given in session.get_inputs():
        drawn = rng.standard_normal(given.shape)
        real = given.type == "tensor(float)"
        feed[given.name] = drawn.astype(np.float32) if real else np.zeros(given.shape, np.int64)
    return feed
