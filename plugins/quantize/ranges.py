"""Ranges of activations over calibration inputs."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper
from torch import Tensor

from stillhouse.core.errors import UserError
from stillhouse.plugins.quantize.activations import Ranges
from stillhouse.plugins.targets.agreement import array
from stillhouse.plugins.targets.sessions import session

_BATCHES: Final = 32
_HELD: Final = 2**28
"""Answers to so many batches are in memory at once, or those that take so many bytes."""
_BINS: Final = 2048
_ENTROPY_BINS: Final = 128
_PERCENTILE: Final = 99.999


def ranges(
    graph: onnx.ModelProto, tensors: Sequence[str], inputs: Tensor, calibration: str
) -> Ranges:
    """The range of each tensor over `inputs` (samples, ...); the graph stays as it is.

    `minmax` is the whole range; `entropy` (Migacz 2017, "8-bit inference with TensorRT") and
    `percentile` are ONNX Runtime's own, of histograms. UserError for numbers that are not finite.
    """
    if not tensors:
        return {}
    found = _extremes if calibration == "minmax" else _histograms
    return found(calibration, _together(_answers(graph, tensors, inputs)))


def _together(
    answers: Iterator[dict[str, NDArray[Any]]],
) -> Iterator[dict[str, list[NDArray[Any]]]]:
    """Answers to a few batches at a time, all of them finite."""
    seen: dict[str, list[NDArray[Any]]] = {}
    batches = held = 0
    for answer in answers:
        for name, value in answer.items():
            _refuse_infinite(name, value)
            seen.setdefault(name, []).append(value)
            held += value.nbytes
        batches += 1
        if batches == _BATCHES or held >= _HELD:
            yield seen
            seen, batches, held = {}, 0, 0
    if seen:
        yield seen


def _refuse_infinite(name: str, value: NDArray[Any]) -> None:
    if not np.isfinite(value).all():
        raise UserError(
            f"int8: an activation ({name}) is not finite on calibration inputs, so that it has "
            "no range; train the student with another seed or a smaller learning rate"
        )


def _answers(
    graph: onnx.ModelProto, tensors: Sequence[str], inputs: Tensor
) -> Iterator[dict[str, NDArray[Any]]]:
    """Tensors, a batch at a time; the last batch repeats the first samples."""
    shown = onnx.ModelProto()
    shown.CopyFrom(graph)
    given = shown.graph.input[0]
    known = {value.name for value in (*shown.graph.input, *shown.graph.output)}
    wanted = [name for name in tensors if name != given.name]
    shown.graph.output.extend(
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
        for name in wanted
        if name not in known
    )
    at = session(shown.SerializeToString(), 1)
    batch = given.type.tensor_type.shape.dim[0].dim_value
    order = np.resize(np.arange(len(inputs)), -(-len(inputs) // batch) * batch)
    for rows in order.reshape(-1, batch):
        feed = array(inputs[rows])
        # ONNX Runtime takes no names for all names.
        answers = at.run(wanted, {given.name: feed}) if wanted else ()
        found = dict(zip(wanted, answers, strict=True))
        yield found | ({given.name: feed} if given.name in tensors else {})


def _extremes(calibration: str, answers: Iterator[dict[str, list[NDArray[Any]]]]) -> Ranges:
    found: dict[str, tuple[float, float]] = {}
    for seen in answers:
        for name, values in seen.items():
            low, high = float(np.min(values)), float(np.max(values))
            before = found.get(name, (low, high))
            found[name] = float(np.minimum(low, before[0])), float(np.maximum(high, before[1]))
    return found


def _histograms(calibration: str, answers: Iterator[dict[str, list[NDArray[Any]]]]) -> Ranges:
    from onnxruntime.quantization.calibrate import HistogramCollector

    bins = _BINS if calibration == "percentile" else _ENTROPY_BINS
    collector = HistogramCollector(calibration, False, bins, _ENTROPY_BINS, _PERCENTILE, "same")
    with redirect_stdout(io.StringIO()):  # it tells how far it is
        for seen in answers:
            collector.collect_value(seen)
        result = collector.compute_collection_result()
    return {name: (float(of[0]), float(of[1])) for name, of in result.items()}
