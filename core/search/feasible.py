"""Bounded drawing of new candidates that meet the limits."""

from __future__ import annotations

from typing import Final, final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.search.enumeration import enumerated
from stillhouse.core.search.sampler import Codes, Costs
from stillhouse.core.search.seen import Seen
from stillhouse.core.space import Space, hashing
from stillhouse.core.space.hashing import Marks

_BLOCK: Final = 1024
_BLOCKS: Final = 6
_LEAST_SHARE: Final = 0.005
_WALKS: Final = 12
_STEPS: Final = 6
_KNOWN: Final = 4096


def fingerprints(codes: Codes) -> Marks:
    """One mark a candidate, (n,), equal for equal canonical codes (reals to nine decimals).

    The same as `Space.marks`.
    """
    return hashing.rounded(codes)


def meets_limits(costs: Costs, codes: Codes) -> NDArray[np.bool_]:
    """Which candidates meet every limit, (candidates,)."""
    if not len(codes):
        return np.zeros(0, dtype=np.bool_)
    return np.asarray(costs.violation(codes) == 0.0)


@final
class FeasibleDraws:
    """Draws candidates that meet the limits and were neither drawn nor marked before.

    A space of at most 20,000 configurations is enumerated once, in random order: draws are
    uniform over the feasible configurations and end exactly when none is left. A larger one is
    sampled uniformly in blocks and filtered; where fewer than 1 in 200 samples meet the limits,
    random walks of mutations start from feasible candidates (`seeds`, and whatever was found
    since) and stay among them. Every call is bounded, and returns fewer when that is not enough.
    """

    def __init__(self, space: Space, costs: Costs, seeds: Codes, rng: np.random.Generator) -> None:
        self.seen = Seen()
        """Marks of the candidates that will not be drawn any more."""
        self._space = space
        self._costs = costs
        self._rng = rng
        known = seeds[meets_limits(costs, seeds)]
        self._known = known.reshape(len(known), space.width)
        self._stock = np.empty((0, space.width))
        self._sampling = True
        self._whole: bool | None = None

    @property
    def whole(self) -> bool:
        """Whether the space is enumerated, so that `pool` draws from all that is left."""
        if self._whole is None:
            self._enumerate()
        return bool(self._whole)

    def mark(self, codes: Codes) -> None:
        """Never draw these candidates again."""
        self.seen.add(self._space.marks(codes))

    def draw(self, count: int) -> Codes:
        """Up to `count` new candidates, (n, width), marked as seen."""
        out = self.pool(count)
        self.mark(out)
        return out

    def pool(self, count: int) -> Codes:
        """Up to `count` new candidates, (n, width), that may still be drawn later."""
        out = self._front_of_stock(count)
        if len(out) < count:
            self._refill(count)
            out = self._front_of_stock(count)
        return out

    def unseen(self, codes: Codes) -> Codes:
        """The distinct candidates among `codes` that were not seen, in their order."""
        return codes[self.seen.new(self._space.marks(codes))]

    def new(self, codes: Codes) -> Codes:
        """The distinct candidates among `codes` that meet the limits and were not seen."""
        codes = self.unseen(codes)
        return codes[meets_limits(self._costs, codes)]

    def _front_of_stock(self, count: int) -> Codes:
        """The first `count` unseen candidates of the stock; drops seen ones that it passes."""
        fresh = self._stock[:0]
        while len(fresh) < count and len(fresh) < len(self._stock):
            passed = len(fresh) + max(2 * count, 64)
            fresh = self.unseen(self._stock[:passed])
            self._stock = np.concatenate([fresh, self._stock[passed:]])
        return fresh[:count]

    def _refill(self, count: int) -> None:
        if self._whole is None:
            self._enumerate()
        if self._whole:
            return
        if self._sampling:
            self._sample(count)
        if len(self._stock) < count:
            self._walk(count)

    def _enumerate(self) -> None:
        everything = enumerated(self._space)
        self._whole = everything is not None
        if everything is not None:
            feasible = everything[meets_limits(self._costs, everything)]
            self._stock = self._rng.permutation(feasible)

    def _sample(self, count: int) -> None:
        drawn = 0
        for _ in range(_BLOCKS):
            block = self._space.sample(_BLOCK, self._rng)
            met = block[meets_limits(self._costs, block)]
            drawn += len(met)
            self._add(met)
            if len(met) < _LEAST_SHARE * _BLOCK or len(self._stock) >= count:
                break
        self._sampling = drawn > 0

    def _walk(self, count: int) -> None:
        for number in range(_WALKS):
            if not len(self._known) or len(self._stock) >= count:
                return
            walkers = self._rng.choice(self._known, size=max(64, min(4 * count, _BLOCK)))
            # Short and long steps in turn: short ones get accepted, long ones leave a corner.
            rate = (1.0 if number % 2 else 3.0) / self._space.width
            for _ in range(_STEPS):
                moved = self._space.mutate(walkers, min(rate, 1.0), self._rng)
                met = meets_limits(self._costs, moved)
                walkers = np.where(met[:, None], moved, walkers)
            self._add(walkers)

    def _add(self, met: Codes) -> None:
        fresh = self.unseen(met)
        self._known = np.concatenate([self._known, fresh])[-_KNOWN:]
        self._stock = self.unseen(np.concatenate([self._stock, fresh]))
