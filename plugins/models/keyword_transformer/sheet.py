"""The Keyword Transformer's operator sheet: the rows one inference runs, from gene columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from numpy.typing import NDArray

from stillhouse.core.cost.sheet import Cells, Operator, OperatorSheet
from stillhouse.plugins.models.keyword_transformer.network import FAMILY
from stillhouse.plugins.models.transformer.columns import LayerColumns
from stillhouse.plugins.models.transformer.genes import check_names
from stillhouse.plugins.models.transformer.rows import LayerRows, norm_row, sum_row


def keyword_transformer_sheet(
    full: Mapping[str, Any], columns: Mapping[str, NDArray[Any]]
) -> OperatorSheet:
    """Rows over the columns' candidates (one if there are none).

    Genes without a column keep the full network's value. Raises `UserError` for a column that is
    no gene, and for candidates deeper than the full network whose layers no column describes.
    """
    check_names(FAMILY, columns)
    candidates = max((len(column) for column in columns.values()), default=1)
    genes = LayerColumns.of(FAMILY, full, columns, candidates)
    frames = full["input_shape"][0]
    blocks = LayerRows(genes, "blocks", frames, full["head_dim"], before=True)
    rows = (*_entry(full, genes.width), *blocks.rows(), *_exit(full, genes.width))
    return OperatorSheet(candidates, rows)


def _entry(full: Mapping[str, Any], width: Cells) -> Iterator[Operator]:
    frames, features = full["input_shape"]
    stream = {"outputs": width, "positions": frames}
    # Learned positions are an operand of the sum, which reads both; nothing is looked up.
    table = {"inputs": frames, "outputs": width, "positions": 0}
    yield Operator("frames", "linear", "front_end", {**stream, "inputs": features, "bias": 1})
    yield Operator("positions", "table", "embedding", table)
    yield sum_row("positions.add", "embedding", width, frames)


def _exit(full: Mapping[str, Any], width: Cells) -> Iterator[Operator]:
    frames = full["input_shape"][0]
    mean: dict[str, Cells | float] = {"outputs": width, "read_positions": frames}
    head: dict[str, Cells | float] = {"inputs": width, "outputs": full["outputs"], "bias": 1}
    yield norm_row("norm", width, frames)
    yield Operator("mean", "elementwise", "head", mean)
    yield Operator("head", "linear", "head", head)
