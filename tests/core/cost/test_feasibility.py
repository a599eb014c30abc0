from __future__ import annotations

import itertools
import time
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from stillhouse.core.cost.feasibility import settle
from stillhouse.core.cost.limits import Limit, Relation, violation
from stillhouse.core.errors import LimitError
from stillhouse.core.search import Codes, Costs
from stillhouse.core.space import Choice, Integer, Real, Space

LAYERED = Space(
    [
        Choice("width", (16, 32, 48)),
        Integer("depth", 1, 3),
        Choice("heads", (1, 2, 4), per="depth"),
    ]
)
LARGE = Space(
    [
        Choice("width", (512, 640, 768)),
        Choice("depth", (12,)),
        Choice("heads", (8, 10, 12), per="depth"),
        Choice("ffn_ratio", (3.5, 4.0), per="depth"),
    ]
)


class TransformerCosts(Costs):
    """Parameters, and a latency that falls with the width: the two limits can pull apart."""

    def __init__(self, space: Space, limits: Sequence[Limit]) -> None:
        self._space = space
        self._limits = limits

    def table(self, codes: Codes) -> Mapping[str, NDArray[np.float64]]:
        columns = self._space.columns(codes)
        width = columns["width"]
        heads = np.nansum(columns["heads"], axis=1)
        ratio = np.nansum(columns["ffn_ratio"], axis=1) if "ffn_ratio" in columns else 0.0
        parameters = 4 * 16 * width * heads + 2 * width**2 * ratio + 10 * width
        return {"parameters": parameters, "latency_ms": 100 / width + heads / 10}

    def violation(self, codes: Codes) -> NDArray[np.float64]:
        return violation(self.table(codes), self._limits)


def settled(space: Space, *limits: Limit, seed: int = 0, budget: int = 20_000):  # type: ignore[no-untyped-def]
    costs = TransformerCosts(space, limits)
    return settle(space, costs, limits, np.random.default_rng(seed), budget)


def brute_force(space: Space) -> Codes:
    """Every configuration of LAYERED-like spaces, written out by hand."""
    rows = [
        space.encode({"width": width, "depth": depth, "heads": list(heads)})
        for width in (16, 32, 48)
        for depth in (1, 2, 3)
        for heads in itertools.product((1, 2, 4), repeat=depth)
    ]
    return np.array(rows)


EVERYTHING = brute_force(LAYERED)


@settings(max_examples=60, deadline=2000)
@given(
    parameters=st.integers(500, 50_000),
    latency=st.floats(1.5, 8.0),
    relations=st.tuples(st.sampled_from(["<=", ">="]), st.sampled_from(["<=", ">="])),
)
def test_a_small_space_is_refused_exactly_when_nothing_in_it_is_feasible(
    parameters: int, latency: float, relations: tuple[str, str]
) -> None:
    limits = (
        Limit("parameters", relations[0], parameters),
        Limit("latency_ms", relations[1], latency),
    )
    everything = EVERYTHING
    met = TransformerCosts(LAYERED, limits).violation(everything) == 0
    if not met.any():
        with pytest.raises(LimitError):
            settled(LAYERED, *limits)
        return
    found = settled(LAYERED, *limits)
    assert set(LAYERED.keys(found.feasible)) == set(LAYERED.keys(everything[met]))
    assert found.exact
    assert found.share == met.mean()


@st.composite
def spaces(draw: st.DrawFn) -> Space:
    """A width, a depth and per-layer genes, with a condition or a real on top."""
    extra: list[Choice | Real] = []
    if draw(st.booleans()):
        extra.append(Choice("ffn_ratio", (0.5, 1.0), per="depth"))
    if draw(st.booleans()):
        extra.append(Real("temperature", 1.0, 8.0))
    widths = tuple(draw(st.sets(st.integers(8, 64), min_size=1, max_size=4)))
    depth = Integer("depth", 1, draw(st.integers(1, 4)))
    return Space([Choice("width", widths), depth, Choice("heads", (1, 2), per="depth"), *extra])


@settings(max_examples=30, deadline=4000)
@given(space=spaces(), share=st.floats(0.0, 1.2), seed=st.integers(0, 99))
def test_it_always_ends_and_what_it_returns_meets_the_limits(
    space: Space, share: float, seed: int
) -> None:
    cheapest, _, dearest = TransformerCosts(space, ()).table(space.corners())["parameters"]
    limit = Limit("parameters", "<=", cheapest + (share - 0.1) * (dearest - cheapest))
    if limit.bound < cheapest:
        with pytest.raises(LimitError, match="nearest reachable"):
            settled(space, limit, seed=seed, budget=4000)
        return
    found = settled(space, limit, seed=seed, budget=4000)
    assert len(found.feasible) > 0
    assert (TransformerCosts(space, (limit,)).violation(found.feasible) == 0).all()


def test_an_impossible_limit_is_refused_within_two_seconds_with_the_nearest_value() -> None:
    start = time.perf_counter()
    with pytest.raises(LimitError) as refused:
        settled(LARGE, Limit("parameters", "<=", 20e6), Limit("latency_ms", "<=", 12.0))
    assert time.perf_counter() - start < 2
    least = TransformerCosts(LARGE, ()).table(LARGE.corners())["parameters"][0]
    assert least == 25_170_944.0
    assert "'parameters <= 20000000': the nearest reachable value is 25180000" in str(refused.value)
    assert "latency_ms" not in str(refused.value)


def test_the_named_value_is_itself_within_reach() -> None:
    found = settled(LARGE, Limit("parameters", "<=", 25_180_000))
    assert len(found.feasible) >= 1


def test_an_impossible_limit_is_proven_where_the_cost_is_a_sum_over_genes() -> None:
    with pytest.raises(LimitError, match="proven for every configuration of the space"):
        settled(LARGE, Limit("parameters", "<=", 25_170_943))
    assert len(settled(LARGE, Limit("parameters", "<=", 25_170_944)).feasible) >= 1


def test_limits_that_only_together_are_impossible_are_proven_so() -> None:
    """Sums of parameters have gaps: none lies within ten of forty million."""
    limits = (Limit("parameters", ">=", 40_000_000), Limit("parameters", "<=", 40_000_010))
    with pytest.raises(LimitError) as refused:
        settled(LARGE, *limits)
    message = str(refused.value)
    assert message.startswith("each limit can be met alone, but no candidate meets")
    assert "proven for every configuration of the space" in message


def test_a_needle_between_two_limits_is_found() -> None:
    """One sum of parameters in a hundred thousand meets both, at a latency few others have."""
    table = TransformerCosts(LARGE, ()).table(LARGE.sample(1, np.random.default_rng(8)))
    parameters, latency = float(table["parameters"][0]), float(table["latency_ms"][0])
    limits = [
        Limit("parameters", ">=", parameters - 0.5),
        Limit("parameters", "<=", parameters + 0.5),
        Limit("latency_ms", ">=", latency - 1e-6),
        Limit("latency_ms", "<=", latency + 1e-6),
    ]
    found = settled(LARGE, *limits).feasible
    assert (TransformerCosts(LARGE, limits).violation(found) == 0).all()


class PeakCosts(TransformerCosts):
    """A cost that is a maximum over layers, and so no sum."""

    def table(self, codes: Codes) -> Mapping[str, NDArray[np.float64]]:
        heads = self._space.columns(codes)["heads"] + np.arange(12) / 7
        return {**super().table(codes), "memory_kb": np.exp(np.sin(heads)).prod(axis=1)}


def test_a_limit_on_what_is_no_sum_is_judged_by_looking() -> None:
    limits = [Limit("memory_kb", "<=", 1e-9)]
    with pytest.raises(LimitError, match="configurations were looked at"):
        settle(LARGE, PeakCosts(LARGE, limits), limits, np.random.default_rng(0), 4000)


def test_of_several_limits_those_on_sums_are_still_proven() -> None:
    limits = [Limit("memory_kb", "<=", 1e9), Limit("parameters", "<=", 20e6)]
    with pytest.raises(LimitError, match=r"25180000 \(proven for every"):
        settle(LARGE, PeakCosts(LARGE, limits), limits, np.random.default_rng(0), 4000)


def test_a_measured_candidate_refutes_what_its_prediction_would_prove() -> None:
    """Its cost follows no rule of the others, so no proof about them covers it."""
    measured = LARGE.sample(1, np.random.default_rng(4))
    limits = [Limit("parameters", "<=", 20e6)]

    class Measured(TransformerCosts):
        apart = measured

        def table(self, codes: Codes) -> Mapping[str, NDArray[np.float64]]:
            table = dict(super().table(codes))
            known = (codes == measured).all(axis=1)
            table["parameters"] = np.where(known, 19e6, table["parameters"])
            return table

    found = settle(LARGE, Measured(LARGE, limits), limits, np.random.default_rng(0))
    assert found.feasible.tolist() == measured.tolist()
    assert found.ranges["parameters"][0] == 19e6


@pytest.mark.parametrize(("relation", "bound"), [("<=", 24e6), (">=", 64e6)])
def test_the_nearest_value_is_exact_on_either_side(relation: Relation, bound: float) -> None:
    table = TransformerCosts(LARGE, ()).table(LARGE.corners())["parameters"]
    nearest = table.min() if relation == "<=" else table.max()
    with pytest.raises(LimitError) as refused:
        settled(LARGE, Limit("parameters", relation, bound))
    printed = float(str(refused.value).split("nearest reachable value is ")[1].split(" ")[0])
    assert Limit("parameters", relation, printed).excess(np.array([nearest]))[0] == 0
    assert printed == pytest.approx(nearest, rel=1e-3)


def test_ranges_of_limited_costs_are_exact_where_they_are_sums() -> None:
    found = settled(LARGE, Limit("parameters", "<=", 36e6), Limit("latency_ms", "<=", 14.0))
    assert set(found.proven) == {"parameters", "latency_ms"}
    table = TransformerCosts(LARGE, ()).table(LARGE.corners())["parameters"]
    assert found.ranges["parameters"] == (table[0], table[2])
    assert found.ranges["latency_ms"] == pytest.approx((100 / 768 + 9.6, 100 / 512 + 14.4))


def test_limits_that_exclude_each_other_are_told_apart_from_impossible_ones() -> None:
    limits = (Limit("parameters", "<=", 26e6), Limit("latency_ms", "<=", 9.75))
    with pytest.raises(LimitError) as refused:
        settled(LARGE, *limits)
    message = str(refused.value)
    assert message.startswith("each limit can be met alone, but no candidate meets")
    assert "parameters <= 26000000 and latency_ms <= 9.75 together" in message
    assert "nearest compromise has" in message
    assert "% off)" in message


def test_a_needle_is_found_that_random_sampling_misses() -> None:
    """Only the smallest three of 6,530,347,008 configurations meet this limit."""
    least = TransformerCosts(LARGE, ()).table(LARGE.corners())["parameters"]
    found = settled(LARGE, Limit("parameters", ">=", least[2] - 1.0))
    assert found.feasible.tolist() == [LARGE.corners()[2].tolist()]
    assert found.share == 0.0
    assert not found.exact


def test_both_sides_of_a_narrow_band_are_reached() -> None:
    limits = (Limit("parameters", ">=", 40_000_000), Limit("parameters", "<=", 40_100_000))
    found = settled(LARGE, *limits)
    parameters = TransformerCosts(LARGE, ()).table(found.feasible)["parameters"]
    assert ((parameters >= 40_000_000) & (parameters <= 40_100_000)).all()


def test_the_same_seed_gives_the_same_candidates() -> None:
    limit = Limit("parameters", "<=", 30e6)
    first, second = settled(LARGE, limit, seed=3), settled(LARGE, limit, seed=3)
    assert first.feasible.tolist() == second.feasible.tolist()


def test_the_share_is_estimated_from_a_uniform_sample() -> None:
    limit = Limit("parameters", "<=", 36e6)
    sample = LARGE.sample(20_000, np.random.default_rng(1))
    share = (TransformerCosts(LARGE, (limit,)).violation(sample) == 0).mean()
    assert settled(LARGE, limit).share == pytest.approx(share, abs=0.04)
    assert 0.1 < share < 0.9


def test_a_cost_that_is_never_finite_is_named() -> None:
    class Unknown(Costs):
        def table(self, codes: Codes) -> Mapping[str, NDArray[np.float64]]:
            return {"latency_ms": np.full(len(codes), np.nan)}

        def violation(self, codes: Codes) -> NDArray[np.float64]:
            return violation(self.table(codes), [Limit("latency_ms", "<=", 1.0)])

    with pytest.raises(LimitError, match="no configuration has a finite latency_ms"):
        settle(LARGE, Unknown(), [Limit("latency_ms", "<=", 1.0)], np.random.default_rng(0))


def test_without_limits_everything_is_feasible() -> None:
    found = settled(LARGE)
    assert found.share == 1.0
    low, high = found.ranges["parameters"]
    assert low == 25_170_944.0
    assert high > 60e6
