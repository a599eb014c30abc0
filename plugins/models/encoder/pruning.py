"""What can be taken out of encoders: as of every transformer; the front end stays as it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from stillhouse.core.cost.reading import over
from stillhouse.core.cost.sheet import COLUMNS, Cells, Operator, OperatorSheet
from stillhouse.core.evaluate import Pruning
from stillhouse.plugins.models.encoder.front_ends import front_end
from stillhouse.plugins.models.encoder.front_ends.choice import options
from stillhouse.plugins.models.encoder.genes import FRONT_END, gene_names
from stillhouse.plugins.models.transformer.pruning import transformer_pruning

if TYPE_CHECKING:
    from stillhouse.core.space import Columns


def encoder_pruning(full: Mapping[str, Any]) -> Pruning:
    plain = transformer_pruning(full, "layers")

    def genes(sheet: OperatorSheet) -> Columns:
        found = dict(plain.genes(sheet))
        if FRONT_END in gene_names(full):
            found[FRONT_END] = _front_ends(sheet, full, found["width"])
        return found

    return replace(plain, genes=genes)


def _front_ends(sheet: OperatorSheet, full: Mapping[str, Any], width: Cells) -> Any:
    """The name of the front end that each candidate runs, as objects (candidates,).

    It is the one that has all its rows, of options with rows in common too.
    """
    found = np.full(sheet.candidates, None, object)
    for name, facts in options(full[FRONT_END]).items():
        rows = front_end(facts).rows(facts, full["input_shape"], width, 1.0)
        runs = np.ones(sheet.candidates, bool)
        for row in rows:
            runs &= np.any([_runs(one, row, sheet) for one in sheet.rows], axis=0)
        found[runs] = name
    return found


def _runs(one: Operator, row: Operator, sheet: OperatorSheet) -> Any:
    """Where a row of the sheet is that row of an option, and runs."""
    if one.name != row.name or one.kind != row.kind:
        return np.zeros(sheet.candidates, bool)
    same = over(one, "active", sheet.candidates) > 0
    for column in COLUMNS:
        if column != "active":
            same = same & np.equal(one[column], row[column])
    return same
