"""Successive halving: who goes up the ladder, when, and in which order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.core.search import Halving, Objective, Promotion
from stillhouse.core.search.halving import standing

UP, DOWN = Objective("accuracy", True), Objective("latency_ms", False)


def column(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float64)[:, None]


def keys(*promotions: Promotion) -> list[str]:
    return [promotion.key for promotion in promotions]


def test_the_best_third_of_a_rung_goes_on() -> None:
    ladder = Halving(3, 3, [UP])
    ladder.record(0, list("abcdef"), column(0.1, 0.6, 0.3, 0.9, 0.2, 0.4))
    assert ladder.promote(10) == [Promotion("d", 1), Promotion("b", 1)]
    assert ladder.promote(10) == []


def test_what_is_minimised_is_promoted_from_the_smallest() -> None:
    ladder = Halving(2, 2, [DOWN])
    ladder.record(0, list("ab"), column(2.0, 1.0))
    assert ladder.promote(1) == [Promotion("b", 1)]


def test_a_rung_waits_until_eta_candidates_are_there() -> None:
    ladder = Halving(2, 3, [UP])
    ladder.record(0, list("ab"), column(0.1, 0.2))
    assert ladder.promote(5) == []
    ladder.record(0, ["c"], column(0.15))
    assert ladder.promote(5) == [Promotion("b", 1)]


def test_a_late_candidate_overtakes_without_taking_back_a_promotion() -> None:
    ladder = Halving(2, 2, [UP])
    ladder.record(0, list("ab"), column(0.1, 0.2))
    assert keys(*ladder.promote(5)) == ["b"]
    ladder.record(0, list("cd"), column(0.8, 0.9))
    assert keys(*ladder.promote(5)) == ["d", "c"]
    assert ladder.promote(5) == []


def test_the_highest_rung_is_served_first_and_no_more_than_asked() -> None:
    ladder = Halving(3, 2, [UP])
    ladder.record(0, list("abcdefgh"), column(*np.arange(8) / 10))
    assert ladder.promote(2) == [Promotion("h", 1), Promotion("g", 1)]
    ladder.record(1, ["h", "g"], column(0.4, 0.5))
    assert ladder.promote(2) == [Promotion("g", 2), Promotion("f", 1)]
    assert ladder.counts() == (8, 2, 0)


def test_the_last_rung_promotes_nothing() -> None:
    ladder = Halving(1, 2, [UP])
    ladder.record(0, list("abcd"), column(1, 2, 3, 4))
    assert ladder.promote(4) == []


def test_a_failed_candidate_is_never_promoted() -> None:
    ladder = Halving(2, 2, [UP])
    ladder.record(0, list("abcd"), column(np.nan, 0.1, np.nan, np.nan))
    assert keys(*ladder.promote(4)) == ["b"]


def test_ties_are_broken_by_key_whatever_the_order_of_arrival() -> None:
    for order in ("abcd", "dcba", "bdac"):
        ladder = Halving(2, 2, [UP])
        ladder.record(0, list(order), column(*[0.5] * 4))
        assert keys(*ladder.promote(4)) == ["a", "b"]


def test_whoever_meets_the_limits_goes_before_whoever_is_better() -> None:
    ladder = Halving(2, 2, [UP])
    excess = column(0.3, -0.1, 0.1, 0.0)
    ladder.record(0, list("abcd"), column(0.9, 0.1, 0.8, 0.2), excess)
    assert keys(*ladder.promote(4)) == ["d", "b"]


def test_of_several_objectives_the_front_goes_first_and_its_ends_before_its_middle() -> None:
    values = np.array([[0.9, 9.0], [0.5, 5.0], [0.1, 1.0], [0.4, 6.0], [0.6, 5.5]])
    order = standing(list("abcde"), values, np.zeros((5, 0)), [UP, DOWN])
    assert [list("abcde")[i] for i in order][:2] == ["a", "c"]
    assert list("abcde")[order[-1]] == "d"


def test_a_candidate_beyond_the_limits_does_not_push_others_off_the_front() -> None:
    values = np.array([[0.9, 1.0], [0.5, 5.0], [0.4, 4.0]])
    order = standing(list("abc"), values, column(0.1, 0, 0), [UP, DOWN])
    assert order.tolist() == [1, 2, 0]


def test_a_second_result_on_the_same_rung_is_refused() -> None:
    ladder = Halving(2, 2, [UP])
    ladder.record(0, ["a"], column(0.5))
    ladder.record(1, ["a"], column(0.5))
    with pytest.raises(ValueError, match="recorded twice on rung 0: a"):
        ladder.record(0, ["a"], column(0.5))


@pytest.mark.parametrize(("rungs", "eta"), [(0, 3), (2, 1)])
def test_a_ladder_without_rungs_or_that_drops_none_is_refused(rungs: int, eta: int) -> None:
    with pytest.raises(ValueError, match="expected rungs >= 1 and eta >= 2"):
        Halving(rungs, eta, [UP])


@given(
    values=st.lists(st.floats(0, 1) | st.just(np.nan), max_size=40),
    eta=st.integers(2, 4),
    batch=st.integers(1, 7),
)
def test_only_the_best_share_of_a_rung_goes_on_and_everyone_once(
    values: list[float], eta: int, batch: int
) -> None:
    ladder = Halving(3, eta, [UP])
    told: list[list[float]] = [[], [], []]
    seen: set[Promotion] = set()
    for start in range(0, len(values), batch):
        block = values[start : start + batch]
        ladder.record(0, [f"{start + i:03d}" for i in range(len(block))], column(*block))
        told[0] += block
        while promoted := ladder.promote(batch):
            assert len(promoted) <= batch
            assert not seen.intersection(promoted)
            seen.update(promoted)
            for one in promoted:
                value, below = values[int(one.key)], np.array(told[one.rung - 1])
                assert (below > value).sum() < len(below) // eta
            for one in promoted:
                ladder.record(one.rung, [one.key], column(values[int(one.key)]))
                told[one.rung].append(values[int(one.key)])
