"""torch modules to ONNX graphs of fixed shape, through whichever exporter torch offers."""

from __future__ import annotations

import copy
import io
import tempfile
from contextlib import nullcontext, redirect_stderr
from pathlib import Path
from typing import Any, Final, Literal

import onnx
import torch
from torch import Tensor, nn

from stillhouse.core.measure import ExportError
from stillhouse.plugins.targets.quiet import quiet, reason

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
            reasons.append(f"{choice}: {reason(failed)}")
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
    options: dict[str, Any] = {"opset_version": opset, "external_data": False}
    if not dynamo:
        options = {
            "opset_version": min(opset, _LAST_TORCHSCRIPT_OPSET),
            # By default it prints the whole graph before it raises for an operator.
            "operator_export_type": torch.onnx.OperatorExportTypes.ONNX_FALLTHROUGH,
        }
    with (
        quiet(),
        redirect_stderr(io.StringIO()) if dynamo else nullcontext(),  # prints programs that fail
        torch.random.fork_rng(devices=[]),
        torch.no_grad(),
        tempfile.TemporaryDirectory(prefix="stillhouse-") as folder,
    ):
        path = Path(folder) / "graph.onnx"
        torch.onnx.export(
            module,
            (example,),
            path,
            input_names=[INPUT],
            output_names=_names(module, example),
            dynamo=dynamo,
            verbose=False,
            **options,
        )
        return _standard(onnx.load(path))


def _names(module: nn.Module, example: Tensor) -> list[str]:
    """`logits`, or a number behind it for each of several outputs."""
    answers = module(example)
    if isinstance(answers, Tensor):
        return [OUTPUT]
    return [f"{OUTPUT}.{place}" for place in range(len(answers))]


def _standard(model: onnx.ModelProto) -> onnx.ModelProto:
    foreign = {f"{node.domain}::{node.op_type}" for node in model.graph.node if node.domain}
    if foreign:
        raise ExportError(f"ONNX has no operator for {', '.join(sorted(foreign))}")
    return model
