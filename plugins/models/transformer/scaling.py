"""Uniformly scaled-down networks: the control that a search has to beat."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from stillhouse.core.cost.sheet import Cells
from stillhouse.core.errors import UserError
from stillhouse.plugins.models.transformer.genes import hidden_width

Structure = Mapping[str, Any]


def scaled(
    family: str,
    full: Structure,
    widths: Iterable[int],
    parameters: int,
    count: Callable[[Sequence[Structure]], Cells],
) -> Structure:
    """Of all widths, heads in proportion, depth and ratios as in `full`, the largest that fits.

    `count` gives parameters of structures. Raises `UserError` when even the narrowest has more.
    """
    sizes = [narrowed(full, width, up) for width in widths for up in (0, 1)]
    counts = count(sizes)
    if not (counts <= parameters).any():
        raise UserError(
            f"expected a scaled-down network of at most {parameters} parameters, the narrowest "
            f"{family} of depth {full['depth']} has {int(counts.min())}"
        )
    return sizes[int(np.argmax(np.where(counts <= parameters, counts, -1)))]


def narrowed(full: Structure, width: int, up: int) -> dict[str, Any]:
    """`full` at another width, with its share of the heads, rounded down or `up`."""
    share = width / full["width"]
    return {
        **full,
        "width": width,
        "heads": [_share(heads, share, up) for heads in full["heads"]],
        "hidden": [int(hidden_width(hidden, share)) for hidden in full["hidden"]],
    }


def _share(heads: int, share: float, up: int) -> int:
    """A share of so many heads, rounded down or `up`, at least one."""
    exact = heads * share
    return max(1, math.ceil(exact - 1e-9) if up else int(exact + 1e-9))
