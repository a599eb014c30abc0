"""What can be taken out of transformers: heads, hidden features and layers, but no width."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from torch import nn

from stillhouse.core.cost.reading import Reading
from stillhouse.core.cost.sheet import OperatorSheet
from stillhouse.core.elastic import ElasticAttention, ElasticFeedForward, Units
from stillhouse.core.evaluate import Axis, Pruning, Stack
from stillhouse.plugins.models.transformer.genes import GENES, LAYER_GENES

if TYPE_CHECKING:
    from stillhouse.core.space import Columns

_REFUSED: Final = {
    "channels": "every layer adds to the same features, and norms take their mean and variance "
    "over them, so that no feature can go without a change of all others",
}


def transformer_pruning(full: Mapping[str, Any], layers: str) -> Pruning:
    """`layers` names the module list."""
    axes = (
        Axis("heads", "heads"),
        Axis("feed_forward", "ffn_ratio", lambda columns: columns["width"][:, None]),
    )
    stack = Stack(layers, "depth", LAYER_GENES)
    return Pruning(axes, (stack,), lambda sheet: genes_of(sheet, layers, full), _REFUSED)


def genes_of(sheet: OperatorSheet, layers: str, full: Mapping[str, Any]) -> Columns:
    """The genes of the candidates that a transformer's sheet describes.

    Raises `UserError` for a sheet without such rows.
    """
    read = Reading(sheet)
    names = read.numbered(layers, "attention.qkv")
    active = read.stacked([f"{name}.attention.qkv" for name in names], "active")
    inner = read.stacked([f"{name}.attention.qkv" for name in names], "outputs")
    hidden = read.stacked([f"{name}.feed_forward.up" for name in names], "outputs")
    width = read.cells(f"{layers}.0.attention.qkv", "inputs")
    here = active > 0
    heads = np.where(here, inner / (3 * full["head_dim"]), np.nan)
    ratio = np.where(here, hidden / width[:, None], np.nan)
    found = {"width": width, "depth": active.sum(1), "heads": heads, "ffn_ratio": ratio}
    return {name: found[name] for name in GENES}


def layer_units(name: str, attention: nn.Module, feed_forward: nn.Module) -> Iterator[Units]:
    """The units of one layer."""
    if isinstance(attention, ElasticAttention):
        yield Units("heads", f"{name}.attention", (attention,), (attention,), (attention.out,),
                    attention.head_dim)  # fmt: skip
    if isinstance(feed_forward, ElasticFeedForward):
        up, down = feed_forward.up, feed_forward.down
        yield Units("feed_forward", f"{name}.feed_forward", (up,), (up,), (down,))
