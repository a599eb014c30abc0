from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stillhouse.core.search.halves import Half, halves
from stillhouse.core.search.joining import join
from stillhouse.core.search.lagrangian import Options, Relaxed, relaxed


def problem(seed: int, units: int, columns: int, band: bool, whole: bool) -> Relaxed:
    rng = np.random.default_rng(seed)
    unit = np.repeat(np.arange(units), 3)
    use = rng.integers(0, 20, size=(3 * units, columns)).astype(float)
    use += 0.0 if whole else rng.random(use.shape)
    value = -use.sum(axis=1) + rng.integers(0, 5, size=3 * units)
    middle = use[rng.integers(3, size=units) + 3 * np.arange(units)].sum(axis=0)
    low = middle - 2.0 if band else np.full(columns, -np.inf)
    endless = np.full(columns, np.inf)
    options = Options(0.0, value, use, unit, low, middle, endless, np.full(columns, 1e-9))
    found = relaxed(options)
    assert found is not None
    return found


def added_by_all_pairs(start: Relaxed, left: Half, right: Half, reach: float) -> list[float]:
    pairs = left.use[:, None] + right.use[None]
    total = start.total + pairs.reshape(-1, pairs.shape[2])
    added = (left.reduced[:, None] + right.reduced[None]).ravel() + start.surplus(total)
    return sorted(added[added <= reach].tolist())


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**16),
    units=st.integers(2, 9),
    columns=st.integers(1, 3),
    band=st.booleans(),
    whole=st.booleans(),
    reach=st.floats(0, 30),
)
def test_joining_finds_what_comparing_all_pairs_finds(
    seed: int, units: int, columns: int, band: bool, whole: bool, reach: float
) -> None:
    start = problem(seed, units, columns, band, whole)
    left, right = halves(start, reach, False, 1 << 12)
    joined = join(start, left, right, reach, 10, 1 << 20)
    assert joined.exhausted
    expected = added_by_all_pairs(start, left, right, reach)[:10]
    assert joined.added == pytest.approx(expected, abs=1e-9)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**16), reach=st.floats(0, 30))
def test_merging_keeps_the_least_sum(seed: int, reach: float) -> None:
    start = problem(seed, 8, 2, False, True)
    plain = join(start, *halves(start, reach, False, 1 << 12), reach, 1, 1 << 20)
    merged = join(start, *halves(start, reach, True, 1 << 12), reach, 1, 1 << 20)
    assert merged.added == pytest.approx(plain.added, abs=1e-9)


def test_of_too_many_partial_picks_the_cheapest_are_kept_and_that_is_told() -> None:
    start = problem(3, 12, 1, False, False)
    every, _ = halves(start, 100.0, False, 1 << 16)
    few, _ = halves(start, 100.0, False, 20)
    assert every.complete == 100.0
    assert len(few.reduced) == 20
    assert few.complete < 100.0
    sure = every.reduced[every.reduced <= few.complete]
    assert few.reduced[: len(sure)].tolist() == pytest.approx(sure.tolist())


def test_changes_lead_from_the_relaxed_pick_to_a_partial_one() -> None:
    start = problem(5, 6, 2, False, False)
    half, _ = halves(start, 50.0, False, 1 << 12)
    units, use = start.options.unit, start.options.use
    for at in range(len(half.reduced)):
        changed = half.changes(at)
        moved = sum((use[o] - use[start.first[units[o]]] for o in changed), np.zeros(2))
        assert moved == pytest.approx(half.use[at], abs=1e-9)
        assert start.reduced[changed].sum() == pytest.approx(half.reduced[at], abs=1e-9)
