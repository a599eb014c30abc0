from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from stillhouse.core.search import Codes, enumerated
from stillhouse.core.search.exact import Within, best_first, minimise
from stillhouse.core.search.separable import Separable, separable
from stillhouse.core.space import Choice, Integer, Space

Array = NDArray[np.float64]
NOTHING = np.full(3, np.inf)

LAYERED = Space(
    [
        Choice("width", (16, 32, 48)),
        Integer("depth", 1, 3),
        Choice("heads", (1, 2, 4), per="depth"),
        Choice("form", ("dense", "low-rank"), per="depth"),
        Choice("rank", (4, 8), per="depth", when=("form", ("low-rank",))),
    ]
)


def layers(codes: Codes) -> Array:
    """Parameters, a latency that falls with the width, and a loss, (n, 3)."""
    columns = LAYERED.columns(codes)
    inner = np.where(np.isnan(columns["rank"]), columns["width"][:, None], columns["rank"])
    parameters = columns["width"] * (10 + np.nansum(columns["heads"] * inner, axis=1))
    latency = np.nansum(columns["heads"], axis=1) / 10 + 100 / columns["width"]
    loss = 100 - np.nansum(np.sqrt(columns["heads"] * inner) * [1.0, 2.0, 0.7], axis=1)
    return np.stack([parameters, latency, loss], axis=1)


def tables(space: Space, function) -> Separable:  # type: ignore[no-untyped-def]
    found = separable(space, function, np.random.default_rng(0))
    assert found is not None
    return found


MODEL = tables(LAYERED, layers)
EVERYTHING = enumerated(LAYERED)
assert EVERYTHING is not None
known = layers(EVERYTHING)


def within(low: Array, high: Array, function=layers) -> Within:  # type: ignore[no-untyped-def]
    def meets(codes: Codes) -> NDArray[np.bool_]:
        values = function(codes)
        return np.asarray(((values >= low) & (values <= high)).all(axis=1))

    return Within(low, high, meets)


@settings(max_examples=30, deadline=None)
@given(
    rows=st.lists(st.integers(0, len(known) - 1), min_size=4, max_size=4),
    sides=st.lists(st.booleans(), min_size=4, max_size=4),
    sign=st.sampled_from([1.0, -1.0]),
    objective=st.integers(0, 2),
)
def test_the_optimum_is_that_of_comparing_everything(
    rows: list[int], sides: list[bool], sign: float, objective: int
) -> None:
    low, high = -NOTHING, NOTHING.copy()
    for side, row, bounds, column in zip(
        sides, rows, (high, high, low, low), (0, 1) * 2, strict=True
    ):
        bounds[column] = known[row, column] if side else bounds[column]
    met = ((known >= low) & (known <= high)).all(axis=1)
    found = minimise(MODEL, sign * np.eye(3)[objective], within(low, high))
    assert found.exact
    if not met.any():
        assert found.codes is None
        return
    assert found.codes is not None
    assert found.value == pytest.approx((sign * known[met, objective]).min(), rel=1e-12)
    assert sign * layers(found.codes[None])[0, objective] == pytest.approx(found.value, rel=1e-12)


@settings(max_examples=8, deadline=None)
@given(row=st.integers(0, len(known) - 1), count=st.integers(1, 60))
def test_the_next_best_follow_in_order_and_none_is_left_out(row: int, count: int) -> None:
    high = np.array([known[row, 0], np.inf, np.inf])
    truth = np.sort(known[known[:, 0] <= high[0], 2])[:count]
    codes, values, proven = best_first(MODEL, np.eye(3)[2], within(-NOTHING, high), count)
    assert values == pytest.approx(truth, rel=1e-12)
    assert proven == len(values)
    assert len(set(LAYERED.keys(codes))) == len(codes)
    assert layers(codes)[:, 2] == pytest.approx(values, rel=1e-12)


def test_a_limit_may_be_met_exactly() -> None:
    least = known[:, 0].min()
    found = minimise(MODEL, np.eye(3)[2], within(-NOTHING, np.array([least, np.inf, np.inf])))
    assert found.codes is not None
    assert layers(found.codes[None])[0, 0] == least


def test_only_what_is_no_more_than_the_cutoff_counts() -> None:
    least = known[:, 2].min()
    above = minimise(MODEL, np.eye(3)[2], within(-NOTHING, NOTHING), cutoff=least + 1)
    assert above.value == pytest.approx(least)
    below = minimise(MODEL, np.eye(3)[2], within(-NOTHING, NOTHING), cutoff=least - 1)
    assert below.codes is None
    assert below.exact


def test_at_a_price_the_nearest_compromise_is_found() -> None:
    low, high = -NOTHING, np.array([400.0, 3.0, np.inf])
    assert not ((known <= high).all(axis=1)).any()
    price = np.array([1 / 400.0, 1 / 3.0, 1.0])
    limits = Within(low, high, lambda codes: np.ones(len(codes), dtype=np.bool_), price)
    excess = (np.maximum(known - high, 0)[:, :2] * price[:2]).sum(axis=1)
    found = minimise(MODEL, np.zeros(3), limits)
    assert found.exact
    assert found.value == pytest.approx(excess.min(), rel=1e-9)


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 2**16),
    genes=st.integers(2, 7),
    whole=st.booleans(),
    correlated=st.booleans(),
)
def test_random_knapsacks_are_solved_as_by_enumeration(
    seed: int, genes: int, whole: bool, correlated: bool
) -> None:
    rng = np.random.default_rng(seed)
    space, function, _ = knapsack(rng, genes, whole, correlated)
    everything = enumerated(space, 10**6)
    assert everything is not None
    values = function(everything)
    chosen = values[rng.integers(len(values))]
    high = np.array([np.inf, chosen[1], values[rng.integers(len(values)), 2]])
    met = (values <= high).all(axis=1)
    assume(met.any())
    found = minimise(tables(space, function), np.eye(3)[0], within(-NOTHING, high, function))
    assert found.exact
    assert found.value == pytest.approx(values[met, 0].min(), rel=1e-9)


def knapsack(rng: np.random.Generator, genes: int, whole: bool, correlated: bool):  # type: ignore[no-untyped-def]
    """A space of 3 to 8 choices a gene; minus a quality, and two uses, (n, 3); their middle."""
    counts = rng.integers(3, 9, size=genes)
    use = np.cumsum(rng.integers(1, 130, size=(genes, 8, 2)), axis=1).astype(float)
    quality = use.sum(axis=2) + 10.0 * np.arange(8) if correlated else rng.random((genes, 8)) * 900
    if not whole:
        use *= rng.uniform(0.9, 1.1, use.shape)
    terms = np.concatenate([-quality[..., None], use], axis=2)
    space = Space([Choice(f"g{i}", tuple(range(n))) for i, n in enumerate(counts.tolist())])

    def function(codes: Codes) -> Array:
        out = np.zeros((len(codes), 3))
        for gene in range(genes):
            out += terms[gene, codes[:, gene].astype(np.int64)]
        return out

    last = np.array([terms[i, n - 1] for i, n in enumerate(counts.tolist())])
    middle = terms[:, 0].sum(axis=0) + 0.4 * (last - terms[:, 0]).sum(axis=0)
    return space, function, middle


@pytest.mark.slow
@pytest.mark.parametrize("correlated", [False, True])
def test_a_thousand_genes_under_two_limits_are_solved_within_seconds(correlated: bool) -> None:
    space, function, middle = knapsack(np.random.default_rng(1), 1000, True, correlated)
    model = tables(space, function)
    high = np.array([np.inf, middle[1], middle[2]])
    start = time.perf_counter()
    found = minimise(model, np.eye(3)[0], within(-NOTHING, high, function))
    assert time.perf_counter() - start < 10
    assert found.exact
    assert found.codes is not None
    value, *uses = function(found.codes[None])[0]
    assert value == pytest.approx(found.value, rel=1e-12)
    assert (uses <= high[1:]).all()
    assert found.value - found.bound <= 1e-9 * abs(found.value)


def test_too_little_room_for_work_is_admitted() -> None:
    space, function, middle = knapsack(np.random.default_rng(2), 300, False, True)
    high = np.array([np.inf, middle[1], middle[2]])
    found = minimise(
        tables(space, function), np.eye(3)[0], within(-NOTHING, high, function), most=64
    )
    assert not found.exact
    assert found.bound < found.value


def test_the_same_problem_has_the_same_answer() -> None:
    answers = []
    for _ in range(2):
        space, function, middle = knapsack(np.random.default_rng(3), 60, True, True)
        high = np.array([np.inf, middle[1], middle[2]])
        found = minimise(tables(space, function), np.eye(3)[0], within(-NOTHING, high, function))
        assert found.codes is not None
        answers.append(found.codes.tolist())
    assert answers[0] == answers[1]
