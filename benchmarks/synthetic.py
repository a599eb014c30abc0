"""A keyword transformer's costs and accuracy made up, so that thousands of searches take minutes.

Layers matter by position, heads and widths saturate, neighbouring layers interact; the accuracy
is read in steps of one validation clip.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.cost.limits import Limit, violation
from stillhouse.core.search import Codes, Costs
from stillhouse.core.space import Space

Array = NDArray[np.float64]

LAYERS = 6
CLIPS = 450
FRAMES, FEATURES, CLASSES, HEAD_DIM = 32, 40, 10, 16


@final
class SyntheticCosts(Costs):
    """Size and latency that follow from the genes as a keyword transformer's do."""

    limited = ("size_kb", "latency_ms")

    def __init__(self, space: Space, limits: Sequence[Limit] = ()) -> None:
        self._space, self.limits = space, limits

    def table(self, codes: Codes) -> Mapping[str, Array]:
        genes = self._space.columns(codes)
        width, active = genes["width"], ~np.isnan(genes["heads"])
        heads = np.nan_to_num(genes["heads"])
        attention = 4 * width[:, None] * heads * HEAD_DIM
        feed_forward = 2 * width[:, None] ** 2 * np.nan_to_num(genes["ffn_ratio"])
        layers = (attention + feed_forward + 4 * width[:, None] * active).sum(axis=1)
        weights = layers + (FEATURES + FRAMES + CLASSES) * width
        macs = FRAMES * (attention + feed_forward).sum(axis=1) + FRAMES * FEATURES * width
        macs += 2 * FRAMES**2 * HEAD_DIM * heads.sum(axis=1)
        latency = 0.02 + 0.012 * active.sum(axis=1) + 0.002 * heads.sum(axis=1) + macs / 4e7
        return {"size_kb": 4 * weights / 1000, "latency_ms": latency}

    def violation(self, codes: Codes) -> Array:
        return violation(self.table(codes), self.limits)


@dataclass(frozen=True, eq=False)
class Truth:
    """Accuracy of any candidate, drawn anew for each seed; coefficients by layer, or single."""

    attention: Array
    feed_forward: Array
    enough_heads: Array
    importance: Array
    rhythm: float
    width: float
    best_depth: float
    narrowness: float

    @staticmethod
    def draw(seed: int) -> Truth:
        rng = np.random.default_rng([seed, 77])
        attention, feed_forward = rng.uniform(0.6, 1.6, LAYERS), rng.uniform(0.6, 1.6, LAYERS)
        enough_heads = rng.uniform(2, 5, LAYERS)
        importance = rng.uniform(0.5, 1.2, LAYERS) * 0.9 ** np.arange(LAYERS)
        single = [rng.uniform(*ends) for ends in ((0.5, 1.5), (0.9, 1.5), (2.5, 5), (0.3, 0.8))]
        return Truth(attention, feed_forward, enough_heads, importance, *single)

    def accuracy(self, space: Space, codes: Codes) -> Array:
        """Shares of correct clips, (candidates,)."""
        genes = space.columns(codes)
        heads, ratio = np.nan_to_num(genes["heads"]), np.nan_to_num(genes["ffn_ratio"])
        active = ~np.isnan(genes["heads"])
        gain = self.attention * (1 - np.exp(-1.5 * heads / self.enough_heads))
        gain += 0.8 * self.feed_forward * np.log1p(ratio)
        pairs = 0.1 * np.sin(ratio[:, 1:] * heads[:, :-1] * self.rhythm)
        pairs -= 0.04 * np.abs(heads[:, 1:] - heads[:, :-1])
        merit = 0.6 * (gain * active * self.importance).sum(axis=1)
        merit += (pairs * active[:, 1:]).sum(axis=1) + np.log(genes["width"] / 16) * self.width
        merit -= 0.15 * self.narrowness * (genes["depth"] - self.best_depth) ** 2
        share = 0.55 + 0.43 * (1 - np.exp(-np.clip(merit + 1, 0, None) / 2.2))
        return np.asarray(np.round(share * CLIPS) / CLIPS, np.float64)


def limited_costs(space: Space, quantile: float) -> SyntheticCosts:
    """Each limit at a quantile of what uniformly drawn candidates cost."""
    table = SyntheticCosts(space).table(space.sample(20_000, np.random.default_rng(5)))
    bounds = {name: float(np.quantile(values, quantile)) for name, values in table.items()}
    return SyntheticCosts(space, [Limit(name, "<=", bound) for name, bound in bounds.items()])


def long_search(space: Space, costs: Costs, truth: Truth) -> float:
    """The best accuracy that far more evaluations than any contestant gets can find."""
    rng = np.random.default_rng(9)
    kept = space.sample(200_000, rng)
    for _ in range(40):
        kept = space.unique(kept[costs.violation(kept) == 0])
        kept = kept[np.argsort(-truth.accuracy(space, kept), kind="stable")[:300]]
        moved = space.mutate(kept[rng.integers(len(kept), size=3000)], 0.15, rng)
        kept = np.concatenate([kept, moved])
    return float(truth.accuracy(space, kept[:300]).max())
