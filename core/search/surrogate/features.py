"""Candidates as the surrogate sees them: genes, how much there is of each value, known costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.search.sampler import Codes
from stillhouse.core.space import Dimension, Space

Array = NDArray[np.float64]
Places = NDArray[np.int64]
Table = Mapping[str, Array]

_MOST_GROUPS: Final = 24
_MOST_COSTS: Final = 6
_SAME: Final = 0.9999
_FAR: Final = 4.0
"""Deviations from the mean that stand for a cost that is not finite."""


@final
class Features:
    """Maps canonical codes and their known costs to columns with one relevance a group.

    *Genes* are one-hot where values have no order (squared distance then counts differing genes,
    the Hamming distance) and scaled where they have; inactive genes are 0, with a flag.
    *Composition* is how much there is of each value over genes with the same values, a layer's
    genes or dimensions declared alike: which layer has a value often matters less than how many
    have it. *Costs* are standardised logarithms of the known costs.

    `groups` (columns,) numbers the group of each column. Up to 24 genes have a group each; beyond
    that the genes of one dimension share one, and beyond 24 dimensions those with the same values.
    """

    def __init__(self, space: Space, sample: Table) -> None:
        """`sample` holds known costs of candidates drawn over the space; it sets the scales."""
        self._space = space
        origins, kinds = space.feature_origins(), _kinds(space.dimensions)
        self._totals = _totals(origins, kinds)
        self._costs = _cost_scales(sample)
        parts = [
            _gene_groups(origins, kinds),
            np.zeros(self._totals.shape[1], np.int64),
            np.arange(len(self._costs)),
        ]
        ends = np.cumsum([0, *(int(part.max(initial=-1)) + 1 for part in parts)])
        shifted = [part + end for part, end in zip(parts, ends[:-1], strict=True)]
        self.groups: Places = np.concatenate(shifted)

    def __call__(self, codes: Codes, table: Table) -> Array:
        """Columns of canonical codes with their known costs, (n, columns)."""
        genes = self._space.encoding(codes)
        costs = [cost.scaled(table[cost.name])[:, None] for cost in self._costs]
        return np.concatenate([genes, genes @ self._totals, *costs], axis=1)


@dataclass(frozen=True)
class _CostScale:
    """How a cost becomes a feature."""

    name: str
    logarithmic: bool
    centre: float
    spread: float

    def scaled(self, values: Array) -> Array:
        values = np.log(np.maximum(values, 1e-300)) if self.logarithmic else values
        scaled = (values - self.centre) / self.spread
        return np.nan_to_num(scaled, nan=_FAR, posinf=_FAR, neginf=-_FAR)


def _cost_scales(sample: Table) -> list[_CostScale]:
    """Scales of the costs that tell candidates apart, each kind of information once."""
    kept: list[_CostScale] = []
    known: list[Array] = []
    for name, values in sample.items():
        if not len(values) or not np.isfinite(values).all():
            continue
        logarithmic = bool((values > 0).all())
        raw = np.log(values) if logarithmic else values
        spread = float(raw.std())
        if spread < 1e-9 * max(1.0, float(np.abs(raw).max())):
            continue
        scale = _CostScale(name, logarithmic, float(raw.mean()), spread)
        column = scale.scaled(values)
        if all(abs(float(np.mean(column * other))) < _SAME for other in known):
            kept.append(scale)
            known.append(column)
    return kept[:_MOST_COSTS]


def _kinds(dimensions: Sequence[Dimension]) -> Places:
    """A number for each dimension, equal where they are declared alike but for name and parent."""
    alike: dict[Dimension, int] = {}
    bare = [replace(d, name="any", when=None, per=None) for d in dimensions]
    return np.array([alike.setdefault(d, len(alike)) for d in bare], dtype=np.int64)


def _totals(origins: Places, kinds: Places) -> Array:
    """Sums gene features over the genes of a kind, (features, sums): features @ totals."""
    dimension, layer, place = origins.T
    kind = kinds[dimension] if len(dimension) else dimension
    columns: list[Array] = []
    for wanted in dict.fromkeys(kind.tolist()):
        here = kind == wanted
        genes = len(set(zip(dimension[here].tolist(), layer[here].tolist(), strict=True)))
        places = dict.fromkeys(place[here].tolist()) if genes > 1 else {}
        columns += [(here & (place == at)) / np.sqrt(genes) for at in places]
    return np.array(columns, dtype=np.float64).reshape(len(columns), len(origins)).T


def _gene_groups(origins: Places, kinds: Places) -> Places:
    """The group of each gene feature, (features,)."""
    dimension = origins[:, 0]
    if not len(dimension):
        return dimension
    genes = np.unique(origins[:, :2], axis=0, return_inverse=True)[1].reshape(-1)
    for groups in (genes, np.unique(dimension, return_inverse=True)[1], kinds[dimension]):
        if groups.max() < _MOST_GROUPS:
            return np.asarray(groups, dtype=np.int64)
    return np.asarray(kinds[dimension] * _MOST_GROUPS // (kinds.max() + 1), dtype=np.int64)
