"""Code to copy: how to load the model that was found."""

from __future__ import annotations

from pathlib import PurePosixPath
from string import Template
from typing import Final

from stillhouse.core.run.summary import RunSummary

ONNX: Final = ".onnx"
_SEVERAL: Final = "present = outputs > 0  # (batch, labels): sigmoids above 0.5"

_LOAD: Final = Template("""\
import torch
from stillhouse.core import load

model = load($run)  # a torch module in eval mode
with torch.inference_mode():
    outputs = model(inputs)  # inputs: (batch, ...), $dtype, $prepared""")

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
    dtype = _name(summary.inputs.get("dtype", "float32"))
    prepared = ", ".join([*filter(None, [channels_seen(summary)]), "as in training"])
    run = repr_double(f"runs/{summary.name}")
    text = _LOAD.substitute(run=run, dtype=dtype, prepared=prepared)
    return f"{text}\n{_SEVERAL}" if summary.outputs.get("several") else text


def channels_seen(summary: RunSummary) -> str:
    """What a model takes of an input's last axis, `channels 0, 1 of 12`; empty where it is all."""
    channels = summary.inputs.get("channels")
    if not channels:
        return ""
    return f"channels {', '.join(str(int(c)) for c in channels)} of {int(summary.inputs['of'])}"


def onnx_snippet(summary: RunSummary) -> str:
    """Python that runs the exported artefact with onnxruntime and numpy alone."""
    path = PurePosixPath("runs") / summary.name / "best"
    name = PurePosixPath(summary.certificate.artefact).name
    text = _ONNX.substitute(artefact=repr_double(str(path / name)), inputs=_inputs(summary))
    return f"{text}\n{_SEVERAL}" if summary.outputs.get("several") else text


def _inputs(summary: RunSummary) -> str:
    dtype, ids = _name(summary.inputs.get("dtype", "float32")), summary.inputs.get("ids")
    if ids is None:
        return f"np.zeros(shape, np.{dtype})  # put your features here"
    low, high = (int(one) for one in ids)
    return f"np.full(shape, {low}, np.{dtype})  # put your ids here, {low} to {high}"


def _name(word: object) -> str:
    """A word that can stand in code unquoted; ValueError else, for the code is there to be run."""
    text = str(word)
    if not (text.isascii() and text.isidentifier()):
        raise ValueError(f"expected the name of a type of number, got {text!r}")
    return text


def repr_double(text: str) -> str:
    """A Python literal in double quotes where the text allows it."""
    literal = repr(text)
    return f'"{literal[1:-1]}"' if literal[0] == "'" and '"' not in text else literal
