"""Weights that sum to 1, as a run file gives them: a list of numbers, or `{simplex: COUNT}`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from stillhouse.core.config.nodes import Spot, plain, shown

MOST_WEIGHTS: Final = 32
_TOLERANCE: Final = 1e-9  # as of the dimension: what sums to 1 already is read back as it is


def normalised(weights: Sequence[float]) -> tuple[float, ...]:
    """Numbers of at least 0 divided by their sum; as they are where that is 1 already."""
    if not weights:
        return ()
    # The largest first: a sum may be beyond all numbers, or its parts below them.
    largest = max(weights)
    shares = [weight / largest for weight in weights]
    if abs(math.fsum(shares) * largest - 1) <= _TOLERANCE:
        return tuple(map(float, weights))
    return tuple(share / math.fsum(shares) for share in shares)


def searched_weights(spot: Spot, hint: str) -> int:
    """How many weights `{simplex: COUNT}` searches. Raises ConfigError for anything else."""
    given = spot.entries(("simplex",), hint)
    count = plain(given["simplex"].node) if "simplex" in given else None
    if isinstance(count, int) and not isinstance(count, bool) and 2 <= count <= MOST_WEIGHTS:
        return count
    fact = f"expected {{simplex: COUNT}} with 2 <= COUNT <= {MOST_WEIGHTS}"
    raise spot.error(f"{fact}, got {shown(spot.node)}{hint}")
