"""From parameters to what an update trains: samplers, sub-spaces, progressive shrinking."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.cost.terms import parameters
from stillhouse.core.distill.paths import PathSampler, Sandwich, Shrinking, SizeBins, Turns, Uniform
from stillhouse.core.distill.regions import Quantiles, Region, Whole
from stillhouse.core.errors import UserError
from stillhouse.core.evaluate import Context
from stillhouse.core.space import Choice, Codes, Dimension, Space

OPENING: Final = (("kernel",), ("depth",), ("expand", "ffn_ratio", "heads", "hidden"))
"""Genes by the start of their last name, in the order they open; all others open last."""


def counting(space: Space, context: Context) -> Callable[[Codes], NDArray[np.float64]]:
    """Parameters of subnets from their codes."""

    def count(codes: Codes) -> NDArray[np.float64]:
        return parameters(context.family.sheet(context.full, space.columns(codes)))

    return count


def sub_spaces(space: Space, params: Any, context: Context) -> tuple[list[Region], list[float]]:
    """The parts of the space that have a supernet each, and the sizes between them.

    Raises:
        UserError: more parts than sizes, or parts together with progressive shrinking.
    """
    if params.subspaces == 1:
        return [Whole(space)], []
    if params.shrink == "progressive":
        raise UserError(
            f"shrink: progressive opens the space from its largest subnet, which only the last of "
            f"{params.subspaces} sub-spaces holds; use subspaces: 1, or shrink: none"
        )
    rng = np.random.default_rng(context.seed("supernet", "sub-spaces"))
    cut = Quantiles(space, counting(space, context), params.subspaces, rng)
    return cut.regions(), cut.edges


def path_sampler(where: Region, params: Any, updates: int, context: Context) -> PathSampler:
    """The sampler that the parameters name, over `updates` updates."""
    if params.shrink == "none":
        return _sampler(where, params, context)
    opened = [Whole(space) for space in opening(where.space)]
    return Shrinking([_sampler(region, params, context) for region in opened], updates)


def opening(space: Space) -> list[Space]:
    """The space as it opens, kind of gene by kind of gene, from the largest subnet to all."""
    kinds = [_kind(dimension.name) for dimension in space.dimensions]
    spaces = []
    for latest in sorted(set(kinds)):
        pairs = zip(space.dimensions, kinds, strict=True)
        spaces.append(Space([d if kind <= latest else _held(d) for d, kind in pairs]))
    return spaces


def _is_size(dimension: Dimension) -> bool:
    return not isinstance(_largest(dimension), (str, bool))


def _largest(dimension: Dimension) -> Any:
    return dimension.decode(dimension.corners()[2].tolist())


def _kind(gene: str) -> int:
    word = gene.rsplit(".", 1)[-1]
    found = [place for place, words in enumerate(OPENING) if word.startswith(words)]
    return found[0] if found else len(OPENING)


def _held(dimension: Dimension) -> Dimension:
    """A size with its largest value alone; kinds (text) stay open."""
    if not _is_size(dimension):
        return dimension
    return Choice(dimension.name, (_largest(dimension),), when=dimension.when, per=dimension.per)


def _sampler(region: Region, params: Any, context: Context) -> PathSampler:
    if params.sampler == "uniform":
        return Uniform(region)
    if params.sampler == "sandwich":
        return Sandwich(region, params.middle)
    if params.sampler == "turns":
        return Turns(region, params.middle)
    rng = np.random.default_rng(context.seed("supernet", "size bins"))
    return SizeBins(region, counting(region.space, context), rng)
