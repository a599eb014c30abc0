"""An encoder's operator sheet: the rows one inference runs, from gene columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.cost.sheet import Cells, Operator, OperatorSheet
from stillhouse.core.errors import UserError
from stillhouse.plugins.models.encoder.front_ends import Facts, front_end
from stillhouse.plugins.models.encoder.front_ends.choice import chosen, options
from stillhouse.plugins.models.encoder.genes import FAMILY, FRONT_END
from stillhouse.plugins.models.encoder.positions import position_count, position_rows
from stillhouse.plugins.models.transformer.columns import LayerColumns
from stillhouse.plugins.models.transformer.genes import GENES, check_names
from stillhouse.plugins.models.transformer.rows import LayerRows, norm_row


def encoder_sheet(full: Mapping[str, Any], columns: Mapping[str, NDArray[Any]]) -> OperatorSheet:
    """Rows over the columns' candidates (one if there are none).

    Genes without a column keep the full network's value: of several front ends, the one it uses.
    Raises `UserError` for a column that is no gene, for a front end that `full` has not, and for
    candidates deeper than the full network whose layers no column describes.
    """
    check_names(FAMILY, columns, (*GENES, FRONT_END))
    candidates = max((len(column) for column in columns.values()), default=1)
    genes = LayerColumns.of(FAMILY, full, columns, candidates)
    positions = position_count(full)
    layers = LayerRows(genes, "layers", positions, full["head_dim"], full["before"])
    rows = (
        *_front_ends(full, columns.get(FRONT_END), genes.width),
        *_mask(full, positions),
        *position_rows(full, positions, genes.width),
        *([norm_row("norm", genes.width, positions)] if full["norm"] else []),
        *layers.rows(),
        *([norm_row("final_norm", genes.width, positions)] if full["final_norm"] else []),
        *(_answer(full, positions, genes.width) if full["outputs"] else ()),
    )
    return OperatorSheet(candidates, rows)


def _front_ends(
    full: Mapping[str, Any], column: NDArray[Any] | None, width: Cells
) -> Iterator[Operator]:
    facts, shape = full[FRONT_END], full["input_shape"]
    known: dict[str, Facts] = options(facts)
    if column is None:
        yield from front_end(known[chosen(facts)]).rows(known[chosen(facts)], shape, width, 1.0)
        return
    for name in dict.fromkeys(column):
        if name not in known:
            raise UserError(
                f"{FAMILY}: front_end expected one of {', '.join(known)}, came {name!r}"
            )
    for name, own in known.items():
        active = np.array([value == name for value in column], np.float64)
        if active.any():
            yield from front_end(own).rows(own, shape, width, active)


def _mask(full: Mapping[str, Any], positions: int) -> Iterator[Operator]:
    if full["padding"] is not None:
        cells = {"outputs": 1, "positions": positions}
        yield Operator("mask", "elementwise", "embedding", cells)


def _answer(full: Mapping[str, Any], positions: int, width: Cells) -> Iterator[Operator]:
    wide: dict[str, Cells | float] = {"inputs": width, "outputs": width, "bias": 1}
    if full["pool"] == "mean":
        mean: dict[str, Cells | float] = {"outputs": width, "read_positions": positions}
        yield Operator("mean", "elementwise", "head", mean)
    if full["pooler"]:
        yield Operator("pooler", "linear", "head", wide)
        yield Operator("pooler.act", "elementwise", "head", {"outputs": width})
    yield Operator("head", "linear", "head", {**wide, "outputs": full["outputs"]})
