"""How much stays, from genes and shares alone: for one network, or for all rows of a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.evaluate import Axis, Pruning, Stack

if TYPE_CHECKING:
    from stillhouse.core.space import Columns

Array = NDArray[np.float64]
AXES: Final = ("heads", "feed_forward", "channels", "inner_channels")


def kept_count(count: Any, share: Any) -> Array:
    """The share of a number of units, rounded half up, at least 1; NaN where there is none."""
    found: Array = np.maximum(1, np.floor(np.multiply(share, count) + 0.5))
    return found


def share_of(kind: str, values: Mapping[str, Any]) -> Any:
    """The share of a kind of units among parameters, or columns of them."""
    own = values.get(kind)
    missing = own is None or (isinstance(own, np.ndarray) and own.dtype == object)
    return values["keep"] if missing else own


def pruned(pruning: Pruning, genes: Columns, values: Mapping[str, Any]) -> Columns:
    """The genes of the pruned networks; `values` has parameters, or columns of them.

    Of an importance that chooses among layers, those of the last layers left out: it chooses among
    layers of the same shapes.
    """
    return without_units(pruning, without_layers(pruning, genes, values), values)


def without_units(pruning: Pruning, genes: Columns, values: Mapping[str, Any]) -> Columns:
    """Genes that are numbers first: other genes' bases depend on them."""
    found = dict(genes)
    for axis in sorted(pruning.axes, key=lambda axis: axis.base is not None):
        share = np.broadcast_to(share_of(axis.kind, values), genes[axis.gene].shape[:1])
        share = share.reshape(-1, *(1 for _ in genes[axis.gene].shape[1:])).astype(np.float64)
        found[axis.gene] = _units(axis, genes, found, share)
    return found


def _units(axis: Axis, genes: Columns, found: Columns, share: Array) -> Array:
    values = np.asarray(genes[axis.gene], np.float64)
    if axis.base is None:
        return kept_count(values, share)
    ratio: Array = kept_count(np.rint(values * axis.base(genes)), share) / axis.base(found)
    return ratio


def without_layers(pruning: Pruning, genes: Columns, values: Mapping[str, Any]) -> Columns:
    found = dict(genes)
    for stack in pruning.stacks:
        depth = genes[stack.depth].astype(np.int64)
        share = np.broadcast_to(np.asarray(values["layers"], np.float64), depth.shape)
        rule = np.broadcast_to(np.asarray(values["layers_by"], object), depth.shape)
        places, here = _places(stack, depth, kept_count(depth, share).astype(np.int64), rule)
        found[stack.depth] = here.sum(1).astype(np.float64)
        for gene in stack.genes:
            taken = np.take_along_axis(np.asarray(genes[gene], np.float64), places, 1)
            found[gene] = np.where(here, taken, np.nan)
    return found


def _places(
    stack: Stack, depth: NDArray[np.int64], count: NDArray[np.int64], rule: NDArray[Any]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Which layers stay, and where there are any: (candidates, deepest) each."""
    count = np.maximum(count, np.minimum(stack.fixed, depth))
    deepest = int(count.max(initial=1))
    places = np.zeros((len(depth), deepest), np.int64)
    even = rule == "even"
    for whole, kept, spread in set(zip(depth.tolist(), count.tolist(), even.tolist(), strict=True)):
        same = (depth == whole) & (count == kept) & (even == spread)
        places[same, :kept] = positions("even" if spread else "last", whole, kept)
    return places, np.arange(deepest) < count[:, None]


def positions(rule: str, depth: int, kept: int) -> list[int]:
    """Which of so many layers stay: the first ones, or evenly spread ones from first to last."""
    if rule == "even":
        return [int(place) for place in np.floor(np.linspace(0, depth - 1, kept) + 0.5)]
    return list(range(kept))
