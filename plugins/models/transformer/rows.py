"""Rows of the operator sheet that a transformer layer runs, from its genes' columns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from stillhouse.core.cost.sheet import Cells, Operator
from stillhouse.plugins.models.transformer.columns import LayerColumns


@final
@dataclass(frozen=True, eq=False)
class LayerRows:
    """The layers `<name>.0`, `<name>.1`, ... over so many positions.

    `before`: norms before attention and feed-forward, or after the sums.
    """

    genes: LayerColumns
    name: str
    positions: int
    head_dim: int
    before: bool

    def rows(self) -> Iterator[Operator]:
        for layer in range(self.genes.layers):
            active = (self.genes.depth > layer).astype(np.float64)
            yield from self._attention(layer, active)
            yield from self._feed_forward(layer, active)

    def _attention(self, layer: int, active: Cells) -> Iterator[Operator]:
        name, heads = f"{self.name}.{layer}", self.genes.heads[:, layer]
        projections, scored = "attention_projections", "attention_scores"
        positions, width, inner = self.positions, self.genes.width, heads * self.head_dim
        base: dict[str, Any] = {"active": active, "positions": positions}
        wide = {**base, "inputs": width, "outputs": 3 * inner, "bias": 1, "held": self._residual()}
        narrow = {**base, "inputs": inner, "outputs": width, "bias": 1, "held": positions * width}
        # Query, key and value are one tensor, which waits until the last of them has been read.
        scores = {**base, "inputs": self.head_dim, "outputs": positions, "groups": heads}
        scores["held"] = positions * (width + inner)
        softmax = {**base, "outputs": heads * positions, "held": positions * (width + 3 * inner)}
        mix = {**base, "inputs": positions, "outputs": self.head_dim, "groups": heads}
        mix["held"] = positions * (width + 2 * inner)
        yield from self._norm(f"{name}.norm1", active, now=self.before)
        yield Operator(f"{name}.attention.qkv", "linear", projections, wide)
        yield Operator(f"{name}.attention.scores", "matmul", scored, scores)
        yield Operator(f"{name}.attention.softmax", "elementwise", scored, softmax)
        yield Operator(f"{name}.attention.mix", "matmul", scored, mix)
        yield Operator(f"{name}.attention.out", "linear", projections, narrow)
        yield self._sum(f"{name}.attention.add", projections, active)
        yield from self._norm(f"{name}.norm1", active, now=not self.before)

    def _feed_forward(self, layer: int, active: Cells) -> Iterator[Operator]:
        name, group = f"{self.name}.{layer}", "feed_forward"
        width, hidden = self.genes.width, self.genes.hidden[:, layer]
        base: dict[str, Any] = {"active": active, "positions": self.positions}
        held = self.positions * width
        up = {**base, "inputs": width, "outputs": hidden, "bias": 1, "held": self._residual()}
        act = {**base, "outputs": hidden, "held": held}
        down = {**base, "inputs": hidden, "outputs": width, "bias": 1, "held": held}
        yield from self._norm(f"{name}.norm2", active, now=self.before)
        yield Operator(f"{name}.feed_forward.up", "linear", group, up)
        yield Operator(f"{name}.feed_forward.act", "elementwise", group, act)
        yield Operator(f"{name}.feed_forward.down", "linear", group, down)
        yield self._sum(f"{name}.feed_forward.add", group, active)
        yield from self._norm(f"{name}.norm2", active, now=not self.before)

    def _residual(self) -> Cells | float:
        """What waits beside the first linear: behind a norm, what the norm read."""
        return self.positions * self.genes.width if self.before else 0.0

    def _norm(self, name: str, active: Cells, *, now: bool) -> Iterator[Operator]:
        if now:
            yield norm_row(name, self.genes.width, self.positions, active)

    def _sum(self, name: str, group: str, active: Cells) -> Operator:
        return sum_row(name, group, self.genes.width, self.positions, active)


def norm_row(name: str, width: Cells, positions: int, active: Cells | float = 1.0) -> Operator:
    """A norm with scale and shift over (positions, width)."""
    cells: dict[str, Cells | float] = {
        "active": active, "outputs": width, "positions": positions, "bias": 1,
    }  # fmt: skip
    return Operator(name, "norm", "norm", cells)


def sum_row(
    name: str, group: str, width: Cells, positions: int, active: Cells | float = 1.0
) -> Operator:
    """A sum of two operands (positions, width)."""
    cells: dict[str, Cells | float] = {
        "active": active, "outputs": width, "positions": positions,
        "read_positions": 2 * positions,
    }  # fmt: skip
    return Operator(name, "elementwise", group, cells)
