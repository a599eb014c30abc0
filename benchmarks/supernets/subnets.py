"""Subnets of a space: all of them, or some drawn the way a supernet is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.cost.terms import parameters
from stillhouse.core.distill.paths import gene_by_gene
from stillhouse.core.search.enumeration import enumerated
from stillhouse.core.search.sampler import Codes
from stillhouse.core.space import Space
from supernets.ground import Ground

DRAW = 5
"""First word of the generator that fixed subnets are drawn with."""


def every(space: Space) -> Codes:
    codes = enumerated(space)
    assert codes is not None
    return codes


def fixed(space: Space, count: int) -> Codes:
    """The same distinct subnets for every seed, each gene drawn on its own."""
    drawn = space.unique(gene_by_gene(space, 4 * count, np.random.default_rng(DRAW)))
    assert len(drawn) >= count
    return drawn[:count]


def sizes(ground: Ground, space: Space, codes: Codes) -> NDArray[np.float64]:
    """Parameters of each subnet, (codes,)."""
    return parameters(ground.family.sheet(ground.context.full, space.columns(codes)))


def decoded(space: Space, codes: Codes) -> Sequence[Mapping[str, Any]]:
    return [space.decode(row) for row in codes]


def thirds(values: Sequence[float]) -> dict[str, NDArray[np.int64]]:
    """Places of the smallest, middle and largest third, by name."""
    parts = np.array_split(np.argsort(values, kind="stable"), 3)
    return dict(zip(("smallest third", "middle third", "largest third"), parts, strict=True))
