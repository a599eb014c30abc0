from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np
import pytest
from numpy.typing import NDArray

from stillhouse.core.search import Codes, Costs, FeasibleDraws
from stillhouse.core.space import Choice, Integer, Real, Space

SMALL = Space([Integer("depth", 1, 3), Choice("heads", (1, 2, 4), per="depth")])
LARGE = Space([Choice("depth", (12,)), Choice("heads", tuple(range(1, 13)), per="depth")])
NOTHING: Codes = np.empty((0, LARGE.width))


class HeadCosts(Costs):
    """All heads of a candidate, at most `most`; counts the candidates it is asked about."""

    def __init__(self, space: Space, most: float) -> None:
        self.asked = 0
        self._space = space
        self._most = most

    def table(self, codes: Codes) -> Mapping[str, NDArray[np.float64]]:
        return {"heads": np.nansum(self._space.columns(codes)["heads"], axis=1)}

    def violation(self, codes: Codes) -> NDArray[np.float64]:
        self.asked += len(codes)
        return np.maximum(self.table(codes)["heads"] / self._most - 1, 0)


def draws(space: Space, most: float, seeds: Codes, seed: int = 0) -> FeasibleDraws:
    return FeasibleDraws(space, HeadCosts(space, most), seeds, np.random.default_rng(seed))


def test_a_small_space_is_drawn_to_its_last_feasible_candidate_and_no_further() -> None:
    source = draws(SMALL, 3, np.empty((0, SMALL.width)))
    drawn = np.concatenate([source.draw(2) for _ in range(10)])
    decoded = sorted(SMALL.decode(row)["heads"] for row in drawn)
    assert decoded == [[1], [1, 1], [1, 1, 1], [1, 2], [2], [2, 1]]
    assert len(source.draw(1)) == 0


def test_draws_from_a_small_space_are_even() -> None:
    first = Counter(
        SMALL.keys(draws(SMALL, 3, np.empty((0, SMALL.width)), seed).draw(1))[0]
        for seed in range(600)
    )
    assert len(first) == 6
    assert all(60 < count < 145 for count in first.values())


def test_draws_are_feasible_distinct_and_leave_out_what_was_marked() -> None:
    source = draws(LARGE, 70, NOTHING)
    known = source.pool(50)
    source.mark(known)
    drawn = source.draw(500)
    assert len(drawn) == 500
    assert (HeadCosts(LARGE, 70).violation(drawn) == 0).all()
    keys = LARGE.keys(drawn)
    assert len(set(keys)) == 500
    assert not set(keys) & set(LARGE.keys(known))


def test_the_pool_can_still_be_drawn() -> None:
    source = draws(LARGE, 70, NOTHING)
    assert source.pool(20).tolist() == source.draw(20).tolist()


def test_walks_reach_far_from_the_seed_where_sampling_finds_nothing() -> None:
    """About one in 1e8 configurations has at most 20 heads."""
    source = draws(LARGE, 20, LARGE.corners()[:1])
    drawn = source.draw(300)
    heads = LARGE.columns(drawn)["heads"]
    assert len(drawn) == 300
    assert heads.sum(axis=1).max() <= 20
    assert (heads.max(axis=0) >= 4).all()


def test_without_seeds_an_empty_region_gives_nothing_at_a_bounded_price() -> None:
    costs = HeadCosts(LARGE, 11)
    source = FeasibleDraws(LARGE, costs, NOTHING, np.random.default_rng(0))
    assert len(source.draw(5)) == 0
    assert costs.asked < 20_000


def test_seeds_that_break_a_limit_are_not_walked_from() -> None:
    source = draws(LARGE, 13, LARGE.corners()[1:])
    assert len(source.draw(3)) == 0


def test_an_exhausted_large_region_ends_instead_of_hanging() -> None:
    """Thirteen of the 12^12 configurations have at most 13 heads."""
    source = draws(LARGE, 13, LARGE.corners()[:1])
    drawn = np.concatenate([source.draw(10) for _ in range(6)])
    assert len(drawn) == len(set(LARGE.keys(drawn))) == 13


def test_spaces_on_a_continuum_never_run_out() -> None:
    space = Space([Real("temperature", 1, 8), Integer("heads", 1, 4)])

    class Warm(Costs):
        def table(self, codes: Codes) -> Mapping[str, NDArray[np.float64]]:
            return {"temperature": space.columns(codes)["temperature"]}

        def violation(self, codes: Codes) -> NDArray[np.float64]:
            return np.maximum(self.table(codes)["temperature"] - 2, 0)

    source = FeasibleDraws(space, Warm(), space.corners()[:1], np.random.default_rng(0))
    drawn = source.draw(200)
    assert len(space.unique(drawn)) == 200


def test_new_keeps_the_first_of_equals_in_order() -> None:
    source = draws(SMALL, 3, np.empty((0, SMALL.width)))
    rows = np.array([SMALL.encode({"depth": 1, "heads": [h]}) for h in (2, 4, 1, 2, 1)])
    source.mark(rows[2:3])
    assert [SMALL.decode(row)["heads"] for row in source.new(rows)] == [[2]]


@pytest.mark.parametrize("most", [13, 40, 70])
def test_equal_seeds_draw_equally(most: float) -> None:
    first, second = (draws(LARGE, most, LARGE.corners()[:1], seed=7) for _ in range(2))
    assert first.draw(30).tolist() == second.draw(30).tolist()
