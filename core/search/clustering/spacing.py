"""Layers chosen by depth alone: evenly spaced ones, and the ends of stages."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stillhouse.core.errors import UserError
from stillhouse.core.search.clustering.distances import Numbers


def spread(count: int, k: int) -> tuple[int, ...]:
    """k evenly spaced of `count` layers, strictly increasing, the last one among them.

    They end k runs as equal as can be. Raises `UserError` for a k below 1 or above `count`.
    """
    if not 1 <= k <= count:
        raise UserError(f"expected to spread 1 to {count} taps over {count} layers, got k = {k}")
    return tuple((i + 1) * count // k - 1 for i in range(k))


def stage_ends(stages: Sequence[int] | None, count: int, k: int) -> tuple[int, ...]:
    """The last layer of each of the last k stages; `stages` has each layer's stage number.

    Raises `UserError` for a network of one stage, of fewer than k, or of unknown stages.
    """
    if stages is None or len(stages) != count or list(stages) != sorted(stages):
        got = "none" if stages is None else str(list(stages))
        raise UserError(
            f"stage-ends: expected the stage number of each of {count} layers, none lower than "
            f"the one before, got {got}; use uniform"
        )
    last = ends(stages)
    if len(last) == 1:
        raise UserError("stage-ends: the network has one stage; use uniform")
    if len(last) < k:
        raise UserError(
            f"stage-ends: expected at least {k} stages for k = {k}, the network has {len(last)}; "
            "lower k, or use uniform"
        )
    return last[-k:]


def ends(stages: Sequence[int]) -> tuple[int, ...]:
    """The last layer of each stage, from the stage number of each layer."""
    count = len(stages)
    return tuple(i for i in range(count) if i + 1 == count or stages[i] != stages[i + 1])


def runs_to(last: Sequence[int]) -> Numbers:
    """Labels of runs of neighbouring layers, each ending at one of the given, (last + 1,)."""
    return np.searchsorted(np.asarray(last), np.arange(last[-1] + 1))
