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
    # Learned positions are an operand of the sum, which reads both; nothing is looked up.
    table = {"inputs": frames, "outputs": genes.width, "positions": 0}
    both = {**stream, "read_positions": 2 * frames}
    yield Operator("frames", "linear", "front_end", {**stream, "inputs": features, "bias": 1})
    yield Operator("positions", "table", "embedding", table)
    yield Operator("positions.add", "elementwise", "embedding", both)


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
    name, projections, group = f"blocks.{layer}", "attention_projections", "attention_scores"
    base = {"active": active, "positions": frames, "held": frames * width}
    wide = {**base, "inputs": width, "outputs": 3 * inner, "bias": 1}
    narrow = {**base, "inputs": inner, "outputs": width, "bias": 1}
    # Query, key and value are one tensor, which waits until the last of them has been read.
    scores = {
        **base,
        "inputs": head_dim,
        "outputs": frames,
        "groups": heads,
        "held": frames * (width + inner),
    }
    softmax = {**base, "outputs": heads * frames, "held": frames * (width + 3 * inner)}
    mix = {
        **base,
        "inputs": frames,
        "outputs": head_dim,
        "groups": heads,
        "held": frames * (width + 2 * inner),
    }
    yield Operator(f"{name}.norm1", "norm", "norm", {**base, "outputs": width, "bias": 1})
    yield Operator(f"{name}.attention.qkv", "linear", projections, wide)
    yield Operator(f"{name}.attention.scores", "matmul", group, scores)
    yield Operator(f"{name}.attention.softmax", "elementwise", group, softmax)
    yield Operator(f"{name}.attention.mix", "matmul", group, mix)
    yield Operator(f"{name}.attention.out", "linear", projections, narrow)
    yield _residual(f"{name}.attention.add", projections, width, frames, active)


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
    yield _residual(f"{name}.feed_forward.add", group, width, frames, active)


def _residual(name: str, group: str, width: Cells, frames: int, active: Cells) -> Operator:
    cells: dict[str, Cells | float] = {
        "active": active,
        "outputs": width,
        "positions": frames,
        "read_positions": 2 * frames,
    }
    return Operator(name, "elementwise", group, cells)


def _exit(full: Mapping[str, Any], genes: _Genes) -> Iterator[Operator]:
    frames = full["input_shape"][0]
    norm: dict[str, Cells | float] = {"outputs": genes.width, "positions": frames, "bias": 1}
    mean: dict[str, Cells | float] = {"outputs": genes.width, "read_positions": frames}
    head: dict[str, Cells | float] = {"inputs": genes.width, "outputs": full["outputs"], "bias": 1}
    yield Operator("norm", "norm", "norm", norm)
    yield Operator("mean", "elementwise", "head", mean)
    yield Operator("head", "linear", "head", head)
