from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.search import Codes
from stillhouse.core.search.descent import Descent
from stillhouse.core.space import Choice, Integer, Space

SPACE = Space([Integer("depth", 1, 12), Choice("heads", tuple(range(10)), per="depth")])


def heads(codes: Codes) -> NDArray[np.float64]:
    return np.asarray(np.nansum(SPACE.columns(codes)["heads"], axis=1))


def away_from_37(codes: Codes) -> NDArray[np.float64]:
    return np.abs(heads(codes) - 37)


def run(score, budget: int, hits: int | None) -> tuple[Codes, Descent]:  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(0)
    descent = Descent(SPACE, score, rng, budget)
    return descent.run(SPACE.sample(50, rng), hits), descent


def test_the_minimum_comes_first_and_the_rest_in_order() -> None:
    best, _ = run(heads, budget=30_000, hits=None)
    assert heads(best)[0] == 0
    assert (np.diff(heads(best)) >= 0).all()


def test_enough_hits_end_it_early() -> None:
    best, descent = run(away_from_37, budget=30_000, hits=5)
    assert (away_from_37(best) == 0).sum() >= 5
    assert descent.examined < 10_000


def test_the_budget_bounds_what_is_examined() -> None:
    _, descent = run(heads, budget=2000, hits=None)
    assert descent.examined < 3000


def test_a_hopeless_score_ends_after_the_stall() -> None:
    best, descent = run(lambda codes: np.full(len(codes), np.inf), budget=10**9, hits=1)
    assert descent.examined < 20_000
    assert len(best) > 0
