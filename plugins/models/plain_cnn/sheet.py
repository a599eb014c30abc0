"""The operator sheet of plain convolutional networks, from their widths.

Batch norms are rows of their own, as in `cnn.sheet`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.cost.sheet import Cells, Operator, OperatorSheet
from stillhouse.plugins.models.plain_cnn.genes import GENE, check_names
from stillhouse.plugins.models.plain_cnn.structure import input_channels, rung, sides, windows

Full = Mapping[str, Any]


def plain_cnn_sheet(full: Full, columns: Mapping[str, NDArray[Any]]) -> OperatorSheet:
    """Rows over the columns' candidates; one, of the full network's width, if there is no column.

    Raises `UserError` for a column that is no gene.
    """
    check_names(columns)
    width = np.atleast_1d(np.asarray(columns.get(GENE, full[GENE]), np.float64))
    rows = (*_stages(full, width), *_answer(full, width))
    return OperatorSheet(len(width), rows)


def _stages(full: Full, width: Cells) -> Iterator[Operator]:
    """What a stage holds lies between two pools; nothing else is alive beside it."""
    inputs: Cells | float = float(input_channels(full))
    shape, areas = rung(full), [height * across for height, across in sides(full)]
    for stage, window in enumerate(windows(full)):
        outputs, area = shape.widths[stage] * width, areas[stage]
        for place in range(shape.depths[stage]):
            yield from _block(f"stages.{stage}.{place}", inputs, outputs, area)
            inputs = outputs
        if window is not None:
            pool = {**_over(outputs, areas[stage + 1]), "read_positions": area}
            yield Operator(f"stages.{stage}.pool", "elementwise", "elementwise", pool)


def _block(name: str, inputs: Cells | float, outputs: Cells, area: int) -> Iterator[Operator]:
    cells = {**_over(outputs, area), "inputs": inputs, "kernel": 9.0}
    yield Operator(f"{name}.conv", "conv2d", "convolution", cells)
    yield Operator(f"{name}.norm", "norm", "norm", {**_over(outputs, area), "bias": 1.0})
    yield Operator(f"{name}.norm.relu", "elementwise", "elementwise", _over(outputs, area))


def _answer(full: Full, width: Cells) -> Iterator[Operator]:
    shape, (height, across) = rung(full), sides(full)[-1]
    inputs = shape.widths[-1] * height * across * width
    if shape.hidden:
        hidden = shape.hidden * width
        yield _linear("hidden", inputs, hidden)
        yield Operator("hidden.relu", "elementwise", "head", _over(hidden, 1))
        inputs = hidden
    yield _linear("head", inputs, float(full["outputs"]))


def _linear(name: str, inputs: Cells, outputs: Cells | float) -> Operator:
    return Operator(name, "linear", "head", {"inputs": inputs, "outputs": outputs, "bias": 1.0})


def _over(width: Cells, positions: int) -> dict[str, Cells | float]:
    return {"outputs": width, "positions": float(positions)}
