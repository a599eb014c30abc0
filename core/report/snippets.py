"""Code to copy: how to load the model that was found."""

from __future__ import annotations

from pathlib import PurePosixPath
from string import Template
from typing import Final

from stillhouse.core.run.summary import RunSummary

ONNX: Final = ".onnx"

_LOAD: Final = Template("""\
import torch
from stillhouse.core import load

model = load($run)  # a torch module in eval mode
with torch.inference_mode():
    outputs = model(inputs)  # inputs: (batch, ...), $dtype, as in training""")

_ONNX: Final = Template("""\
import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession(
    $artefact, providers=["CPUExecutionProvider"]
)
first = session.get_inputs()[0]
shape = [n if isinstance(n, int) else 1 for n in first.shape]
inputs = $inputs
(outputs,) = session.run(None, {first.name: inputs})""")


def load_snippet(summary: RunSummary) -> str:
    """Python that loads the torch model from the run directory, named as by default."""
    dtype = summary.inputs.get("dtype", "float32")
    return _LOAD.substitute(run=repr_double(f"runs/{summary.name}"), dtype=dtype)


def onnx_snippet(summary: RunSummary) -> str:
    """Python that runs the exported artefact with onnxruntime and numpy alone."""
    path = PurePosixPath("runs") / summary.name / "best"
    name = PurePosixPath(summary.certificate.artefact).name
    return _ONNX.substitute(artefact=repr_double(str(path / name)), inputs=_inputs(summary))


def _inputs(summary: RunSummary) -> str:
    dtype, ids = summary.inputs.get("dtype", "float32"), summary.inputs.get("ids")
    if ids is None:
        return f"np.zeros(shape, np.{dtype})  # put your features here"
    return f"np.full(shape, {ids[0]}, np.{dtype})  # put your ids here, {ids[0]} to {ids[1]}"


def repr_double(text: str) -> str:
    """A Python literal in double quotes where the text allows it."""
    literal = repr(text)
    return f'"{literal[1:-1]}"' if literal[0] == "'" and '"' not in text else literal
