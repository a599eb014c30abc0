"""The Keyword Transformer's operator sheet: the rows one inference runs, from gene columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.cost.sheet import Cells, Operator, OperatorSheet
from stillhouse.core.elastic import check_slice
from stillhouse.plugins.models.keyword_transformer.genes import (
    check_names,
    gene_values,
    hidden_width,
)


def keyword_transformer_sheet(
    full: Mapping[str, Any], columns: Mapping[str, NDArray[Any]]
) -> OperatorSheet:
    """Rows over the columns' candidates (one if there are none).

    Genes without a column keep the full network's value. Raises `UserError` for a column that is
    no gene, and for candidates deeper than the full network whose layers no column describes.
    """
    check_names(columns)
    candidates = max((len(column) for column in columns.values()), default=1)
    genes = _Genes.of(gene_values(full), columns, candidates)
    rows = (*_entry(full, genes), *_blocks(full, genes), *_exit(full, genes))
    return OperatorSheet(candidates, rows)


@dataclass(frozen=True, eq=False)
class _Genes:
    """width, depth (candidates,); heads, hidden (candidates, layers), 0 where inactive."""

    width: Cells
    depth: Cells
    heads: NDArray[np.float64]
    hidden: NDArray[np.float64]

    @staticmethod
    def of(full: Mapping[str, Any], columns: Mapping[str, NDArray[Any]], candidates: int) -> _Genes:
        def column(name: str) -> NDArray[np.float64]:
            values = np.asarray(columns.get(name, full[name]), np.float64)
            return np.broadcast_to(values, (candidates,)) if values.ndim == 0 else values

        def layered(name: str) -> NDArray[np.float64]:
            values = np.asarray(columns.get(name, full[name]), np.float64)
            if name in columns and values.ndim == 1:
                values = values[:, None]
            if name not in columns:
                check_slice("keyword-transformer", depth=(layers, full["depth"]))
            return np.broadcast_to(values, (candidates, max(layers, values.shape[-1])))

        width, depth = column("width"), column("depth")
        layers = int(depth.max(initial=1))
        heads = np.nan_to_num(layered("heads"))
        ratio = np.nan_to_num(layered("ffn_ratio"))
        return _Genes(width, depth, heads, hidden_width(ratio, width[:, None]))


def _entry(full: Mapping[str, Any], genes: _Genes) -> Iterator[Operator]:
    frames, features = full["input_shape"]
    stream = {"outputs": genes.width, "positions": frames}
    kept = {**stream, "held": frames * genes.width}
    yield Operator("frames", "linear", "entry", {**stream, "inputs": features, "bias": 1})
    yield Operator("positions", "table", "entry", {**kept, "inputs": frames})
    yield Operator("positions.add", "elementwise", "entry", kept)


def _blocks(full: Mapping[str, Any], genes: _Genes) -> Iterator[Operator]:
    for layer in range(int(genes.depth.max(initial=1))):
        active = (genes.depth > layer).astype(np.float64)
        yield from _attention(full, genes, layer, active)
        yield from _feed_forward(full, genes, layer, active)


def _attention(
    full: Mapping[str, Any], genes: _Genes, layer: int, active: Cells
) -> Iterator[Operator]:
    frames, head_dim = full["input_shape"][0], full["head_dim"]
    width, heads = genes.width, genes.heads[:, layer]
    inner = heads * head_dim
    name = f"blocks.{layer}"
    base = {"active": active, "positions": frames, "held": frames * width}
    # The values wait while scores and softmax are computed.
    waiting = {**base, "held": frames * (width + inner)}
    wide = {**base, "inputs": width, "outputs": 3 * inner, "bias": 1}
    narrow = {**base, "inputs": inner, "outputs": width, "bias": 1}
    scores = {**waiting, "inputs": head_dim, "outputs": frames, "groups": heads}
    mix = {**base, "inputs": frames, "outputs": head_dim, "groups": heads}
    softmax = {**waiting, "outputs": heads * frames}
    yield Operator(f"{name}.norm1", "norm", "norm", {**base, "outputs": width, "bias": 1})
    yield Operator(f"{name}.attention.qkv", "linear", "attention", wide)
    yield Operator(f"{name}.attention.scores", "matmul", "attention", scores)
    yield Operator(f"{name}.attention.softmax", "elementwise", "attention", softmax)
    yield Operator(f"{name}.attention.mix", "matmul", "attention", mix)
    yield Operator(f"{name}.attention.out", "linear", "attention", narrow)
    yield Operator(f"{name}.attention.add", "elementwise", "attention", {**base, "outputs": width})


def _feed_forward(
    full: Mapping[str, Any], genes: _Genes, layer: int, active: Cells
) -> Iterator[Operator]:
    frames = full["input_shape"][0]
    width, hidden = genes.width, genes.hidden[:, layer]
    name, group = f"blocks.{layer}", "feed_forward"
    base = {"active": active, "positions": frames, "held": frames * width}
    up = {**base, "inputs": width, "outputs": hidden, "bias": 1}
    down = {**base, "inputs": hidden, "outputs": width, "bias": 1}
    yield Operator(f"{name}.norm2", "norm", "norm", {**base, "outputs": width, "bias": 1})
    yield Operator(f"{name}.feed_forward.up", "linear", group, up)
    yield Operator(f"{name}.feed_forward.act", "elementwise", group, {**base, "outputs": hidden})
    yield Operator(f"{name}.feed_forward.down", "linear", group, down)
    yield Operator(f"{name}.feed_forward.add", "elementwise", group, {**base, "outputs": width})


def _exit(full: Mapping[str, Any], genes: _Genes) -> Iterator[Operator]:
    frames = full["input_shape"][0]
    stream = {"outputs": genes.width, "positions": frames}
    head = {"inputs": genes.width, "outputs": full["outputs"], "bias": 1}
    yield Operator("norm", "norm", "norm", {**stream, "bias": 1})
    yield Operator("mean", "elementwise", "exit", stream)
    yield Operator("head", "linear", "exit", head)
