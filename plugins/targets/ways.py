"""Files of a graph that stops early which always stop at the same place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from stillhouse.core.measure import THRESHOLD
from stillhouse.plugins.targets.graph_file import read_graph
from stillhouse.plugins.targets.tidy import write

_NEVER, _ALWAYS = -1.0, 2.0


def ways(path: Path, folder: Path) -> list[Path]:
    """One file for each place where the graph may stop, in order, the end last; [] where none.

    Nothing but thresholds differs: a file decides at every exit that it comes by, as the graph
    does.
    """
    model = read_graph(path)
    exits = _thresholds(model.graph)
    if not exits:
        return []
    return [
        _stopping_at(place, model, exits, folder / f"{path.stem}-way{place}{path.suffix}")
        for place in range(len(exits) + 1)
    ]


def _thresholds(graph: onnx.GraphProto) -> list[TensorProto]:
    named = {constant.name: constant for constant in graph.initializer}
    found: list[TensorProto] = []
    while (name := f"{THRESHOLD}{len(found)}") in named:
        found.append(named[name])
    return found


def _stopping_at(place: int, model: onnx.ModelProto, exits: list[TensorProto], path: Path) -> Path:
    for number, threshold in enumerate(exits):
        value = np.array(_ALWAYS if number == place else _NEVER, np.float32)
        threshold.CopyFrom(numpy_helper.from_array(value, threshold.name))
    write(model, path)
    return path
