"""The least candidates of a space, looked at before others are: what they break, all break."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.cost.model import counted
from stillhouse.core.cost.sheet import chosen
from stillhouse.core.run.opened import Opened
from stillhouse.core.run.profiled import sheet_of
from stillhouse.core.search.descent import Descent
from stillhouse.core.search.sampler import Codes

_LOOKED_AT: Final = 1500


def ends_of(opened: Opened, pool: Codes) -> Codes:
    """The candidate of fewest MACs, and that of fewest stored bytes: (1 or 2, width).

    `pool` (n, width) has the fewest MACs first. Where no method sets bits or densities the two are
    taken for one; else a descent looks for the fewest bytes, since every gene's first value need
    not be the smallest.
    """
    if not chosen(sheet_of(opened, pool)):
        return pool[:1]
    rng = np.random.default_rng(opened.context.seed("ends"))
    space = opened.plan.space
    descent = Descent(space, lambda codes: stored_bytes(opened, codes), rng, _LOOKED_AT)
    start = np.concatenate([pool[:1], pool[np.argsort(stored_bytes(opened, pool))[:16]]])
    return space.unique(np.concatenate([pool[:1], descent.run(start, None)[:1]]))


def stored_bytes(opened: Opened, codes: Codes) -> NDArray[np.float64]:
    """Bytes of the weights alone, (n,): no file is smaller."""
    return np.asarray(counted(sheet_of(opened, codes))["size_bytes"], np.float64)
