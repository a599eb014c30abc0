"""Making candidates from nothing and from each other; everything runs over all candidates."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from stillhouse.core.space.dimension import Codes
from stillhouse.core.space.layout import Flags, Layout

Fill = Callable[[int, Codes], Codes]
"""Genes for a block: (position, current genes (n, layers, columns)) to genes of that shape."""


def activity(layout: Layout, codes: Codes, at: int) -> Flags:
    """Which genes of a block are active, (n, layers); the parent must be canonical already."""
    block = layout.blocks[at]
    if block.parent is None:
        return np.ones((len(codes), block.layers), dtype=np.bool_)
    return block.active(layout.blocks[block.parent].view(codes))


def settle(layout: Layout, codes: Codes, fill: Fill) -> Codes:
    """A canonical copy: inactive genes become -1, active genes without a value come from `fill`."""
    out = codes + 0.0  # a copy without negative zeros
    for at in layout.order:
        view, active = layout.blocks[at].view(out), activity(layout, out, at)
        view[~active] = -1.0
        need = active & (view[..., 0] < 0)
        if need.any():
            view[need] = fill(at, view)[need]
    return out


def refusing(layout: Layout) -> Fill:
    """Fill nothing: ValueError names the gene that has no value."""

    def fill(at: int, view: Codes) -> Codes:
        raise ValueError(f"gene '{layout.blocks[at].dimension.name}' is active but has no code")

    return fill


def randomly(layout: Layout, rng: np.random.Generator) -> Fill:
    """Fill by drawing: each value weighs as much as there are configurations below it."""

    def fill(at: int, view: Codes) -> Codes:
        dimension, shape = layout.blocks[at].dimension, (view.shape[0], view.shape[1])
        if at not in layout.weights:
            return dimension.draw(shape, rng)
        edges = np.cumsum(layout.weights[at])
        drawn = np.searchsorted(edges[:-1], rng.random((*shape, 1)) * edges[-1], side="right")
        return np.asarray(drawn, dtype=np.float64)

    return fill


def nearby(layout: Layout) -> Fill:
    """Fill without chance: a layer takes the value of the one before it, a lone gene its middle."""

    def fill(at: int, view: Codes) -> Codes:
        middle, out = layout.blocks[at].dimension.corners()[1], view.copy()
        before = np.broadcast_to(middle, (len(view), len(middle)))
        for layer in range(view.shape[1]):
            missing = out[:, layer, :1] < 0
            out[:, layer] = np.where(missing, before, out[:, layer])
            before = out[:, layer]
        return out

    return fill


def at_corners(layout: Layout) -> Fill:
    """Fill three candidates: lowest, middle, highest."""

    def fill(at: int, view: Codes) -> Codes:
        genes = layout.blocks[at].dimension.corners()[:, None, :]
        return np.broadcast_to(genes, view.shape)

    return fill


def mutate(layout: Layout, codes: Codes, rate: float, rng: np.random.Generator) -> Codes:
    """Change each active gene with probability `rate`; newly active genes are drawn."""
    out = codes + 0.0
    for block in layout.blocks:
        view = block.view(out)
        chosen = (rng.random(view.shape[:2]) < rate) & (view[..., 0] >= 0)
        view[chosen] = block.dimension.mutated(view[chosen], rng)
    return settle(layout, out, randomly(layout, rng))


def crossover(layout: Layout, a: Codes, b: Codes, rng: np.random.Generator) -> Codes:
    """Take each gene from either parent; one that only the other parent has comes from there."""
    out = a + 0.0
    for block in layout.blocks:
        view, other = block.view(out), block.view(b)
        second = rng.random(view.shape[:2]) < 0.5
        # A gene inactive in the chosen parent may be active in the child: it has the other's value.
        second = np.where(second, other[..., 0] >= 0, view[..., 0] < 0)
        view[second] = other[second]
    return settle(layout, out, refusing(layout))


def neighbours(layout: Layout, row: Codes) -> Codes:
    """Every configuration one step away in one discrete gene, (m, width), without repeats."""
    found = [np.empty((0, layout.width))]
    for block in layout.blocks:
        genes = block.view(row[None])[0]
        for layer in np.flatnonzero(genes[:, 0] >= 0):
            steps = block.dimension.steps(genes[layer])
            moved = np.repeat(row[None], len(steps), axis=0)
            block.view(moved)[:, layer] = steps
            found.append(moved)
    return settle(layout, np.concatenate(found), nearby(layout))
