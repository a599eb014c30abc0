"""Measured blocks, and what their weights cost where they do not fit the processor's caches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from stillhouse.core.cost.latency.judging import Array
from stillhouse.core.cost.latency.shapes import CACHE, SESSION, Shape, Site, cells_of
from stillhouse.core.cost.latency.work import weight_bytes
from stillhouse.core.cost.sheet import Cells
from stillhouse.core.errors import UserError

Blocks = Mapping[Shape, float]
"""Milliseconds of one operator of each shape, and of `Shape("session")`."""


@final
@dataclass(frozen=True)
class CacheCosts:
    """What each byte of weights costs a network beside the operators that it belongs to.

    held_bytes: bytes of all weights that an inference reads, ascending; byte_ms: milliseconds that
    each of them then costs more than weights that stay in a cache. Beyond the last point the price
    stays; without points weights cost nothing more.
    """

    held_bytes: tuple[float, ...] = ()
    byte_ms: tuple[float, ...] = ()

    @staticmethod
    def fit(blocks: Blocks) -> CacheCosts:
        """From the blocks of the kind "cache", of which the fewest together are in a cache."""
        shapes = sorted((s for s in blocks if s.kind == CACHE), key=lambda shape: shape.groups)
        if not shapes:
            return CacheCosts()
        each = weight_bytes(CACHE, cells_of(shapes[:1]))[0]
        more = [max(0.0, blocks[shape] - blocks[shapes[0]]) / each for shape in shapes]
        dearer = np.maximum.accumulate(more).tolist()
        return CacheCosts(tuple(float(each * shape.groups) for shape in shapes), tuple(dearer))

    def ms(self, held_bytes: Cells) -> Cells:
        """Milliseconds for all weights of a network, or of a block that is run alone."""
        if not self.held_bytes:
            return np.zeros_like(held_bytes)
        return held_bytes * np.interp(held_bytes, self.held_bytes, self.byte_ms)


def by_layout(blocks: Blocks) -> dict[str, tuple[list[Shape], Array]]:
    """Operators' shapes by layout, in order, and their milliseconds with weights in a cache.

    Raises `UserError` without the session.
    """
    if Shape(SESSION) not in blocks:
        raise UserError(
            "the blocks lack the session's own cost; measure them with: stillhouse profile "
            "--out FILE"
        )
    groups: dict[str, list[Shape]] = {}
    for shape in sorted(shape for shape in blocks if shape.kind not in (SESSION, CACHE)):
        groups.setdefault(shape.layout, []).append(shape)
    cache = CacheCosts.fit(blocks)
    return {of: (found, _in_cache(found, blocks, cache)) for of, found in groups.items()}


def _in_cache(shapes: Sequence[Shape], blocks: Blocks, cache: CacheCosts) -> Array:
    """Milliseconds without what the blocks' own weights cost, where these alone are too many."""
    ms = np.array([blocks[shape] for shape in shapes])
    own = cache.ms(weight_bytes(shapes[0].kind, cells_of(shapes)))
    return np.asarray(np.maximum(ms - own, ms / 2), np.float64)


def weights_read(sites: Sequence[Site], candidates: int) -> Cells:
    """Bytes of weights that an inference reads, (candidates,)."""
    total = np.zeros(candidates)
    for site in sites:
        total += site.runs * weight_bytes(site.kind, site.cells)
    return total
