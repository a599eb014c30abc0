"""How good predictions of networks would be, told from blocks alone: networks made up of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.cost.latency.cache import Blocks, by_layout
from stillhouse.core.cost.latency.judging import Array, FitReport, judged, margin_over
from stillhouse.core.cost.latency.prices import amounts_of
from stillhouse.core.cost.latency.shapes import Shape
from stillhouse.core.errors import UserError

_LEAST_BLOCKS: Final = 5
_TOGETHER: Final = 8

WithoutItself = Callable[[Sequence[Shape], Array], Array]
"""Predicts each shape of one layout from the times of the others, (shapes,)."""


def judged_by_blocks(blocks: Blocks, predict: WithoutItself) -> tuple[float, FitReport]:
    """Margin and report for networks, for want of measured ones from made-up ones.

    A made-up network is a sum of eight blocks, each predicted without itself: operators' errors
    partly cancel, and about so many make up most of a network's time. Blocks at the end of their
    kind's range are not judged, for without them they would be extrapolated. Raises `UserError`
    when fewer than five blocks are left.
    """
    judged_ones = [
        (predict(shapes, ms)[inside], ms[inside])
        for shapes, ms in by_layout(blocks).values()
        if (inside := _inside(shapes)).any()
    ]
    count = sum(len(ms) for _, ms in judged_ones)
    if count < _LEAST_BLOCKS:
        raise UserError(
            f"expected at least {_LEAST_BLOCKS} blocks larger than one and smaller than another of "
            f"their kind, found {count}; measure them with: stillhouse profile --out FILE"
        )
    sums = [_together(np.concatenate(part)) for part in zip(*judged_ones, strict=True)]
    return margin_over(*sums), replace(judged(*sums), measured=count)


def _inside(shapes: Sequence[Shape]) -> NDArray[np.bool_]:
    """Which shapes are neither the least nor the most in anything that is priced, (shapes,)."""
    amounts = amounts_of(shapes)
    low, high = amounts.min(axis=0), amounts.max(axis=0)
    inside: NDArray[np.bool_] = (((low < amounts) & (amounts < high)) | (low == high)).all(axis=1)
    return inside & bool((low < high).any())


def _together(values: Array) -> Array:
    """Sums of up to eight values that stand equally far apart, at up to four such distances."""
    size = min(_TOGETHER, len(values))
    farthest = len(values) // size
    start = np.arange(len(values))
    step = np.linspace(1, farthest, min(4, farthest)).round().astype(np.int64)
    members = (start[:, None, None] + step[:, None] * np.arange(size)) % len(values)
    sums: Array = values[members].sum(axis=2).ravel()
    return sums
