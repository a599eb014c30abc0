"""Layers chosen by depth alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.core.errors import UserError
from stillhouse.core.search.clustering import cluster, spread


@given(st.integers(1, 200), st.data())
def test_spread_layers_increase_to_the_last_in_runs_that_differ_by_one(
    count: int, data: st.DataObject
) -> None:
    k = data.draw(st.integers(1, count))
    layers = spread(count, k)
    runs = {end - start for start, end in zip((-1, *layers), layers, strict=False)}
    assert (len(layers), layers[-1]) == (k, count - 1)
    assert min(runs) >= 1
    assert max(runs) - min(runs) <= 1


def test_spreading_three_over_resnet_110_gives_its_stage_ends() -> None:
    assert spread(54, 3) == (17, 35, 53)


@pytest.mark.parametrize("k", [0, 5])
def test_spreading_none_or_too_many_is_refused(k: int) -> None:
    with pytest.raises(UserError, match=f"1 to 4 taps over 4 layers, got k = {k}"):
        spread(4, k)


@pytest.mark.parametrize(
    ("stages", "said"),
    [
        ((0, 0, 0, 0), "the network has one stage; use uniform"),
        ((0, 0, 1, 1), "at least 3 stages for k = 3, the network has 2"),
        ((0, 1, 0, 2), "none lower than the one before"),
        ((0, 1, 2), "the stage number of each of 4 layers"),
        (None, "got none; use uniform"),
    ],
)
def test_stage_ends_say_what_stages_they_need(stages: tuple[int, ...] | None, said: str) -> None:
    with pytest.raises(UserError, match=said):
        cluster(1.0 - np.eye(4), 3, "stage-ends", stages=stages)
