from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from numpy.typing import NDArray

from stillhouse.core.search import Codes, Costs, Objective, Problem, evolve, meets_limits, on_front
from stillhouse.core.search.enumeration import enumerated
from stillhouse.core.search.evolution import Evolution
from stillhouse.core.search.seen import Seen
from stillhouse.core.space import Choice, Integer, Real, Space

WIDE = Space([Choice(f"g{i}", (0, 1, 2, 3)) for i in range(30)])
SMALL = Space([Integer("depth", 1, 5), Choice("heads", (1, 2, 3, 4), per="depth")])
WORTH = np.random.default_rng(5).random(30)


class Sum(Costs):
    """The sum of the codes, at most `most`; -1 counts as nothing."""

    limited = ("sum",)

    def __init__(self, most: float) -> None:
        self.most = most

    def table(self, codes: Codes) -> Mapping[str, NDArray[np.float64]]:
        return {"sum": codes.clip(0).sum(axis=1)}

    def violation(self, codes: Codes) -> NDArray[np.float64]:
        return np.maximum(self.table(codes)["sum"] - self.most, 0)


def problem(space: Space, most: float) -> Problem:
    return Problem(space, Sum(most), [Objective("q", True)], 0, space.corners()[:1])


def worth(codes: Codes) -> NDArray[np.float64]:
    return -(codes @ WORTH)[:, None]


def both(codes: Codes) -> NDArray[np.float64]:
    """Fewer codes in all, and more of them squared in the later columns."""
    late = (codes.clip(0) ** 2 * np.arange(codes.shape[1])).sum(axis=1)
    return np.stack([codes.clip(0).sum(axis=1), -late], axis=1)


def test_it_finds_the_optimum_of_a_knapsack() -> None:
    """Ten genes at their most: the ten most worthy."""
    given = problem(WIDE, 30)
    best = evolve(given, worth, given.feasible, np.random.default_rng(0), 20_000)
    assert worth(best)[0, 0] == pytest.approx(-3 * np.sort(WORTH)[-10:].sum())
    assert (np.diff(worth(best)[:, 0]) >= 0).all()


def test_everything_found_meets_the_limits_once_and_is_canonical() -> None:
    given = problem(SMALL, 9)
    best = evolve(given, both, given.feasible, np.random.default_rng(0), 400)
    assert meets_limits(given.costs, best).all()
    assert len(np.unique(SMALL.marks(best))) == len(best) > 20
    np.testing.assert_array_equal(SMALL.canonical(best), best)


def test_the_front_of_a_small_space_is_found_whole() -> None:
    given = problem(SMALL, 9)
    everything = enumerated(SMALL)
    assert everything is not None
    feasible = everything[meets_limits(given.costs, everything)]
    front = np.unique(both(feasible)[on_front(both(feasible), [False, False])], axis=0)
    best = evolve(given, both, given.feasible, np.random.default_rng(0), 4000)
    found = np.unique(both(best)[on_front(both(best), [False, False])], axis=0)
    np.testing.assert_array_equal(found, front)


def test_each_candidate_is_predicted_once_and_none_that_breaks_a_limit() -> None:
    given = problem(WIDE, 40)
    asked: list[Codes] = []

    def predict(codes: Codes) -> NDArray[np.float64]:
        asked.append(codes)
        return worth(codes)

    engine = Evolution(given, predict, np.random.default_rng(0), None)
    engine.run(given.feasible, 5000)
    codes = np.concatenate(asked)
    assert len(codes) == len(np.unique(WIDE.marks(codes))) == engine.examined
    assert meets_limits(given.costs, codes).all()
    assert 5000 <= engine.examined < 5200


def test_what_is_to_be_avoided_may_be_an_ancestor_but_is_not_returned() -> None:
    given = problem(WIDE, 30)
    rng = np.random.default_rng(0)
    known = evolve(given, worth, given.feasible, rng, 5000)
    avoid = Seen()
    avoid.add(WIDE.marks(known))
    for start in (known, given.feasible):
        best = evolve(given, worth, start, rng, 2000, avoid)
        assert len(best) > 20
        assert not avoid.holds(WIDE.marks(best)).any()


def test_start_candidates_that_break_a_limit_are_left_out() -> None:
    given = problem(WIDE, 30)
    best = evolve(given, worth, WIDE.corners(), np.random.default_rng(0), 1000)
    assert meets_limits(given.costs, best).all()


def test_without_anything_feasible_nothing_is_found() -> None:
    given = problem(WIDE, -1)
    assert len(evolve(given, worth, WIDE.corners(), np.random.default_rng(0), 1000)) == 0


def test_a_space_that_is_used_up_ends_the_search() -> None:
    given = problem(Space([Choice("a", (1, 2, 3)), Choice("b", (1, 2))]), 9)
    best = evolve(
        given, lambda codes: codes[:, :1], given.feasible, np.random.default_rng(0), 10**6
    )
    assert len(best) == 6


def test_a_model_that_knows_nothing_and_one_that_fails_are_survived() -> None:
    given = problem(WIDE, 30)
    for value in (0.0, np.nan, np.inf):
        best = evolve(
            given,
            lambda codes, value=value: np.full((len(codes), 2), value),  # type: ignore[misc]
            given.feasible,
            np.random.default_rng(0),
            1000,
        )
        assert len(best) > 20


def test_real_genes_are_refined() -> None:
    space = Space([Real(f"r{i}", 0, 1) for i in range(4)])
    given = problem(space, 3)
    target = np.array([0.1, 0.9, 0.5, 0.3])
    best = evolve(
        given,
        lambda codes: ((codes - target) ** 2).sum(axis=1)[:, None],
        given.feasible,
        np.random.default_rng(0),
        20_000,
    )
    assert best[0] == pytest.approx(target, abs=0.03)


def test_equal_seeds_find_the_same() -> None:
    given = problem(WIDE, 40)
    first, second = (
        evolve(given, worth, given.feasible, np.random.default_rng(3), 2000) for _ in range(2)
    )
    np.testing.assert_array_equal(first, second)
