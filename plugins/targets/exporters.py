"""torch modules to ONNX graphs of fixed shape, through whichever exporter torch offers."""

from __future__ import annotations

import copy
import logging
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal

import onnx
import torch
from torch import Tensor, nn

from stillhouse.core.measure import ExportError

Exporter = Literal["torchscript", "dynamo"]
INPUT: Final = "input"
OUTPUT: Final = "logits"
_LAST_TORCHSCRIPT_OPSET: Final = 20


def exported_graph(
    module: nn.Module, example: Tensor, exporter: str, opset: int
) -> tuple[onnx.ModelProto, Exporter]:
    """The graph of `module` in eval mode for inputs of `example`'s shape, and who wrote it.

    Its operator set is `opset`, or the exporter's newest where that is older (TorchScript: 20).

    `exporter` is `"torchscript"`, `"dynamo"`, or `"auto"`: the first, which takes a tenth of the
    time, or the second where the first fails. The module and torch's generators stay as they are.

    Raises `ExportError` naming the module and quoting each exporter's reason.
    """
    choices: tuple[Exporter, ...] = (
        ("torchscript", "dynamo") if exporter == "auto" else (_exporter(exporter),)
    )
    frozen = copy.deepcopy(module).eval().cpu()
    reasons = []
    for choice in choices:
        try:
            return _exported(frozen, example.cpu(), choice, opset), choice
        except Exception as failed:  # exporters raise whatever they like
            reasons.append(f"{choice}: {_first_line(failed)}")
            cause = failed
    raise ExportError(
        f"cannot export {type(module).__name__} for an input of shape {tuple(example.shape)} to "
        f"ONNX opset {opset}: {'; '.join(reasons)}. Use operators that ONNX has, or try the "
        f"target's other exporter (exporter: torchscript or dynamo)"
    ) from cause


def _exporter(name: str) -> Exporter:
    return "dynamo" if name == "dynamo" else "torchscript"


def _exported(
    module: nn.Module, example: Tensor, exporter: Exporter, opset: int
) -> onnx.ModelProto:
    dynamo = exporter == "dynamo"
    first = opset if dynamo else min(opset, _LAST_TORCHSCRIPT_OPSET)
    with _quiet(), torch.random.fork_rng(devices=[]), torch.no_grad(), _folder() as folder:
        path = folder / "graph.onnx"
        torch.onnx.export(
            module,
            (example,),
            path,
            input_names=[INPUT],
            output_names=[OUTPUT],
            opset_version=first,
            dynamo=dynamo,
            verbose=False,
            external_data=False,
        )
        return onnx.load(path)


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="stillhouse-") as name:
        yield Path(name)


@contextmanager
def _quiet() -> Iterator[None]:
    """For as long as it lasts, no warnings, and no log lines below errors from exporters."""
    loggers = [logging.getLogger(name) for name in ("torch", "torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            for logger in loggers:
                logger.setLevel(logging.ERROR)
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


def _first_line(error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0]
