"""What can be taken out of convolutional networks: channels and blocks."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from stillhouse.core.cost.reading import Reading
from stillhouse.core.cost.sheet import OperatorSheet
from stillhouse.core.evaluate import Axis, Pruning, Stack
from stillhouse.plugins.models.cnn.genes import BLOCK_GENES, gene, gene_names, stages
from stillhouse.plugins.models.cnn.structure import block_base, keeps_shape

if TYPE_CHECKING:
    from stillhouse.core.space import Columns


def cnn_pruning(full: Mapping[str, Any]) -> Pruning:
    """A stage's first block stays where it changes the shape."""
    inner = (
        Axis("inner_channels", gene("expand", stage), partial(_bases, full, stage))
        for stage in stages(full)
    )
    stacks = (
        Stack(
            f"stages.{stage}",
            gene("depth", stage),
            tuple(gene(kind, stage) for kind in BLOCK_GENES),
            0 if keeps_shape(full, stage, 0) else 1,
        )
        for stage in stages(full)
    )
    axes = (Axis("channels", "width"), *inner)
    return Pruning(axes, tuple(stacks), lambda sheet: genes_of(sheet, full))


def _bases(full: Mapping[str, Any], stage: int, columns: Columns) -> Any:
    """What hidden channels are a multiple of, (candidates, blocks)."""
    places = range(columns[gene("expand", stage)].shape[1])
    return np.stack([block_base(full, stage, place, columns["width"]) for place in places], 1)


def genes_of(sheet: OperatorSheet, full: Mapping[str, Any]) -> Columns:
    """The genes of the candidates that a convolutional network's sheet describes.

    Raises `UserError` for a sheet without such rows.
    """
    read = Reading(sheet)
    found: dict[str, Any] = {"width": read.cells("stem", "outputs")}
    depthwise = full["block"] == "depthwise"
    inner, kernel = ("expand", "depthwise") if depthwise else ("conv1", "conv1")
    for stage in stages(full):
        names = read.numbered(f"stages.{stage}", inner)
        here = read.stacked([f"{name}.{inner}" for name in names], "active") > 0
        hidden = read.stacked([f"{name}.{inner}" for name in names], "outputs")
        area = read.stacked([f"{name}.{kernel}" for name in names], "kernel")
        places = range(len(names))
        base = np.stack([block_base(full, stage, p, found["width"]) for p in places], 1)
        found[gene("depth", stage)] = here.sum(1).astype(np.float64)
        found[gene("kernel", stage)] = np.where(
            here, np.rint(area ** (1 / full["dimensions"])), np.nan
        )
        found[gene("expand", stage)] = np.where(here, hidden / base, np.nan)
    return {name: found[name] for name in gene_names(full)}
