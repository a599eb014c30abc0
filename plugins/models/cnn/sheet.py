"""The operator sheet of convolutional networks, from gene columns.

Batch norms are rows of their own, with the scale and shift that training moves; their running
statistics are buffers and no parameters. Runtimes fold a norm into the convolution before it, whose
file then holds one bias for the two: what `core.cost.file_size` fits.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.cost.sheet import Cells, Operator, OperatorSheet
from stillhouse.plugins.models.cnn.genes import check_names, gene_values, stages
from stillhouse.plugins.models.cnn.rows import Array, Full, GeneColumns, Rows
from stillhouse.plugins.models.cnn.structure import input_channels, keeps_shape, sizes


def cnn_sheet(full: Full, columns: Mapping[str, NDArray[Any]]) -> OperatorSheet:
    """Rows over the columns' candidates (one if there are none).

    Genes without a column keep the full network's value. Raises `UserError` for a column that is
    no gene, and for candidates deeper than the full network whose blocks no column describes.
    """
    check_names(full, columns)
    candidates = max((len(column) for column in columns.values()), default=1)
    genes = GeneColumns(full, gene_values(full), columns, candidates)
    rows = [*_stem(genes)]
    for stage in stages(full):
        for place in range(int(genes.depth(stage).max(initial=1))):
            rows += _block(genes, stage, place)
    return OperatorSheet(candidates, (*rows, *_exit(genes)))


def _stem(genes: GeneColumns) -> Iterator[Operator]:
    rows, width = Rows(genes, "", "front_end", 1.0), genes.column("width")
    positions = math.prod(sizes(genes.full))
    inputs, kernel = input_channels(genes.full), genes.full["stem"]
    yield rows.conv("stem", inputs, width, kernel, positions, positions)
    yield rows.norm("stem_norm", width, positions)
    yield rows.relu("stem", width, positions)


def _block(genes: GeneColumns, stage: int, place: int) -> Iterator[Operator]:
    active = (genes.depth(stage) > place).astype(np.float64)
    rows = Rows(genes, f"stages.{stage}.{place}", "convolution", active)
    first = place == 0
    read = genes.positions(stage - 1 if first else stage)
    inputs = genes.width(max(0, stage - 1)) if first else genes.width(stage)
    make = _depthwise if genes.full["block"] == "depthwise" else _residual
    yield from make(genes, rows, stage, place, inputs, read)


def _depthwise(
    genes: GeneColumns, rows: Rows, stage: int, place: int, inputs: Array, read: int
) -> Iterator[Operator]:
    hidden, outputs = genes.hidden(stage, place), genes.width(stage)
    kernel, written = genes.of_block("kernel", stage, place), genes.positions(stage)
    keeps = keeps_shape(genes.full, stage, place)
    held = read * inputs if keeps else 0.0
    yield rows.conv("expand", inputs, hidden, 1, read, read)
    yield rows.norm("norm1", hidden, read, held)
    yield rows.relu("norm1", hidden, read, held)
    yield rows.conv("depthwise", hidden, hidden, kernel, read, written, held, depthwise=True)
    yield rows.norm("norm2", hidden, written, held)
    yield rows.relu("norm2", hidden, written, held)
    yield rows.conv("project", hidden, outputs, 1, written, written, held)
    yield rows.norm("norm3", outputs, written, held)
    if keeps:
        yield rows.add(outputs, written)


def _residual(
    genes: GeneColumns, rows: Rows, stage: int, place: int, inputs: Array, read: int
) -> Iterator[Operator]:
    hidden, outputs = genes.hidden(stage, place), genes.width(stage)
    kernel, written = genes.of_block("kernel", stage, place), genes.positions(stage)
    held, out = read * inputs, written * outputs
    yield rows.conv("conv1", inputs, hidden, kernel, read, written)
    yield rows.norm("norm1", hidden, written, held)
    yield rows.relu("norm1", hidden, written, held)
    yield rows.conv("conv2", hidden, outputs, kernel, written, written, held)
    yield rows.norm("norm2", outputs, written, held)
    if not keeps_shape(genes.full, stage, place):
        yield rows.conv("shortcut", inputs, outputs, 1, read, written, out)
        yield rows.norm("shortcut_norm", outputs, written, out)
    yield rows.add(outputs, written)
    yield rows.relu("add", outputs, written)


def _exit(genes: GeneColumns) -> Iterator[Operator]:
    last = len(genes.full["strides"]) - 1
    width, positions = genes.width(last), genes.positions(last)
    mean: dict[str, Cells | float] = {"outputs": width, "read_positions": positions}
    outputs = genes.full["outputs"]
    head: dict[str, Cells | float] = {"inputs": width, "outputs": outputs, "bias": 1}
    if genes.full["block"] == "depthwise":
        yield Rows(genes, "", "head", 1.0).relu("last", width, positions)
    yield Operator("mean", "elementwise", "head", mean)
    yield Operator("head", "linear", "head", head)
