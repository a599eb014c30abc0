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
    outputs = model(inputs)  # inputs: (batch, ...) as in training""")

_ONNX: Final = Template("""\
import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession(
    $artefact, providers=["CPUExecutionProvider"]
)
first = session.get_inputs()[0]
shape = [n if isinstance(n, int) else 1 for n in first.shape]
inputs = np.zeros(shape, np.float32)  # put your features here
(outputs,) = session.run(None, {first.name: inputs})""")


def load_snippet(summary: RunSummary) -> str:
    """Python that loads the torch model from the run directory, named as by default."""
    return _LOAD.substitute(run=repr_double(f"runs/{summary.name}"))


def onnx_snippet(summary: RunSummary) -> str:
    """Python that runs the exported artefact with onnxruntime and numpy alone."""
    path = PurePosixPath("runs") / summary.name / "best"
    name = PurePosixPath(summary.certificate.artefact).name
    return _ONNX.substitute(artefact=repr_double(str(path / name)))


def repr_double(text: str) -> str:
    """A Python literal in double quotes where the text allows it."""
    literal = repr(text)
    return f'"{literal[1:-1]}"' if literal[0] == "'" and '"' not in text else literal
