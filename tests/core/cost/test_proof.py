from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.core.cost.limits import Limit
from stillhouse.core.cost.proof import bounds


@given(
    bound=st.floats(-100, 100).filter(lambda bound: abs(bound) > 1e-3),
    margin=st.sampled_from([0.0, 0.1, 0.5, 1.0, 1.5]),
    relation=st.sampled_from(["<=", ">="]),
    value=st.floats(-200, 200),
)
def test_a_margin_moves_the_bound_as_it_moves_the_cost(
    bound: float, margin: float, relation: str, value: float
) -> None:
    limit = Limit("latency_ms", relation, bound, margin)  # type: ignore[arg-type]
    low, high = bounds(["latency_ms"], [limit])
    within = bool(low[0] <= value <= high[0])
    met = limit.excess(np.array([value]))[0] == 0
    near = min(abs(value - low[0]), abs(value - high[0])) < 1e-9
    # From a margin of one on, costs of the wrong sign are past judging.
    assert within == met or near or (margin >= 1.0 and (value < 0) == (relation == "<="))


def test_of_several_limits_on_a_cost_the_tightest_counts() -> None:
    limits = [Limit("macs", "<=", 9), Limit("macs", "<=", 7), Limit("macs", ">=", 2)]
    low, high = bounds(["size_kb", "macs"], limits)
    assert low.tolist() == [-np.inf, 2.0]
    assert high.tolist() == [np.inf, 7.0]
