"""Gene columns as numbers over candidates and layers, those of the full network filled in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.cost.sheet import Cells
from stillhouse.core.elastic.bounds import check_slice
from stillhouse.plugins.models.transformer.genes import gene_values, hidden_width, kept


@final
@dataclass(frozen=True, eq=False)
class LayerColumns:
    """width, depth (candidates,); heads, hidden (candidates, layers), 0 where inactive."""

    width: Cells
    depth: Cells
    heads: NDArray[np.float64]
    hidden: NDArray[np.float64]

    @staticmethod
    def of(
        family: str,
        full: Mapping[str, Any],
        columns: Mapping[str, NDArray[Any]],
        candidates: int,
    ) -> LayerColumns:
        """Genes without a column keep the full structure's value.

        Raises `UserError` for candidates deeper than `full` whose layers no column describes.
        """
        width, depth = (_whole(full[n], columns.get(n), candidates) for n in ("width", "depth"))
        layers = int(depth.max(initial=1))
        found = {}
        for name, own in gene_values(full).items():
            if name in columns and name not in ("width", "depth"):
                found[name] = _given(columns[name], candidates, layers)
            elif name not in ("width", "depth"):
                check_slice(family, depth=(layers, full["depth"]))
                found[name] = _kept(full, own, depth, layers)
        hidden = hidden_width(found["ffn_ratio"], width[:, None])
        return LayerColumns(width, depth, found["heads"], hidden)

    @property
    def layers(self) -> int:
        return int(self.depth.max(initial=1))


def _whole(own: float, column: NDArray[Any] | None, candidates: int) -> Cells:
    values = np.asarray(own if column is None else column, np.float64)
    return np.broadcast_to(values, (candidates,)) if values.ndim == 0 else values


def _given(column: NDArray[Any], candidates: int, layers: int) -> NDArray[np.float64]:
    values = np.asarray(column, np.float64)
    values = values[:, None] if values.ndim == 1 else values
    wide = np.broadcast_to(values, (candidates, max(layers, values.shape[-1])))
    return np.nan_to_num(wide)


def _kept(
    full: Mapping[str, Any], own: list[float], depth: Cells, layers: int
) -> NDArray[np.float64]:
    """The full network's values for the layers that each candidate keeps."""
    table = np.zeros((layers + 1, layers))
    for count in range(1, layers + 1):
        table[count, :count] = [own[place] for place in kept(full, count)]
    return table[depth.astype(np.int64)]
