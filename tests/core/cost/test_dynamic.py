"""Costs over samples and lengths, against numbers by hand and against sampled data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, final

import numpy as np
import pytest
from numpy.typing import NDArray

from stillhouse.core.cost.dynamic import (
    Lengths,
    at_quantile,
    expected,
    is_dynamic,
    longest,
    outcomes,
    quantile_over,
    with_shares,
)
from stillhouse.core.cost.energy import EnergyTable
from stillhouse.core.cost.latency import FitReport, LatencyModel
from stillhouse.core.cost.limits import Limit
from stillhouse.core.cost.model import RecipeCosts, counted
from stillhouse.core.cost.sheet import Operator, OperatorSheet
from stillhouse.core.cost.terms import macs, parameters
from stillhouse.core.errors import UserError

Array = NDArray[np.float64]

STEM, EXIT, REST = 100.0, 10.0, 1000.0
"""MACs of the parts of a network with exits."""
EASY, HARD = STEM + EXIT, STEM + EXIT + REST + EXIT
FEW = np.array([0.3, 0.06, 0.04, 1.0, 0.0])
"""Shares of samples that go on after the first exit."""


@final
class PerMac(LatencyModel):
    """A constant and `ms` for every multiply-accumulate to the power `power`."""

    kind = "per-mac"
    report: ClassVar[FitReport] = FitReport(5, 0.0, 1.0, 1.0, 1.0)

    def __init__(
        self, constant: float = 0.0, ms: float = 1.0, power: float = 1.0, margin: float = 0.0
    ) -> None:
        self.constant, self.ms, self.power, self.margin = constant, ms, power, margin

    def predict(self, sheet: OperatorSheet) -> Array:
        return self.constant + self.ms * macs(sheet) ** self.power

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind}

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> PerMac:
        return cls()


def linear(name: str, count: float | Array, **cells: Any) -> Operator:
    """So many multiply-accumulates, weights and inputs, and one output."""
    return Operator(name, "linear", "all", {"inputs": count, "outputs": 1, **cells})


def with_exits(*reach: Array) -> OperatorSheet:
    """A stem with an exit, then as many further parts with exits as `reach` tells shares of."""
    rows = [linear("stem", STEM), linear("exit", EXIT)]
    for i, probability in enumerate(reach):
        rows.append(linear(f"part.{i}", REST, probability=probability))
        rows.append(linear(f"exit.{i}", EXIT, probability=probability))
    return OperatorSheet(len(reach[0]), tuple(rows))


def at_length(codes: Array, length: int) -> OperatorSheet:
    """A projection of as many MACs as the length times (code + 1), and attention of its square."""
    cells = {"positions": length, "inputs": codes[:, 0] + 1, "outputs": 1}
    scores = {"positions": length, "inputs": 1, "outputs": length}
    return OperatorSheet(
        len(codes),
        (Operator("project", "linear", "all", cells), Operator("scores", "matmul", "all", scores)),
    )


def sampled(sheet: OperatorSheet, samples: int, rng: np.random.Generator) -> Array:
    """MACs of samples drawn one by one, each candidate's rows reached or not, (samples, n)."""
    hardness = rng.random(samples)[:, None]
    total = np.zeros((samples, sheet.candidates))
    for row in sheet.rows:
        total += (hardness < row["probability"]) * row["inputs"]
    return total


def test_the_mean_counts_what_is_reached_by_its_share() -> None:
    sheet = with_exits(FEW)
    assert macs(sheet) == pytest.approx(EASY + FEW * (REST + EXIT))
    assert expected(sheet, macs) == pytest.approx(macs(sheet))


def test_the_95th_percentile_is_the_whole_way_unless_fewer_than_5_in_100_take_it() -> None:
    found = quantile_over(((1.0, with_exits(FEW)),), macs, 0.95)
    assert found.tolist() == [HARD, HARD, EASY, HARD, EASY]


def test_exactly_5_in_100_are_not_the_95th_percentile() -> None:
    sheet = with_exits(np.array([0.05, np.nextafter(0.05, 1), 0.0500001]))
    assert quantile_over(((1.0, sheet),), macs, 0.95).tolist() == [EASY, EASY, HARD]


def test_percentiles_and_means_are_those_of_sampled_data() -> None:
    first = np.array([0.9, 0.5, 0.2, 0.07])
    sheet = with_exits(first, first * np.array([0.5, 0.02, 0.9, 0.1]))
    data = sampled(sheet, 20_000, np.random.default_rng(0))
    assert macs(sheet) == pytest.approx(data.mean(axis=0), rel=0.03)
    for q in (0.3, 0.6, 0.95):
        by_data = np.quantile(data, q, axis=0, method="inverted_cdf")
        assert quantile_over(((1.0, sheet),), macs, q).tolist() == by_data.tolist()


def test_ways_to_run_are_known_with_their_shares() -> None:
    ways = outcomes(with_exits(np.array([0.5, 0.2]), np.array([0.1, 0.2])))
    found = {(float(c), round(float(s), 9)) for way, share in ways for c, s in
             zip(macs(way)[:1], share[:1], strict=True) if s > 0}  # fmt: skip
    assert found == {(EASY, 0.5), (HARD, 0.4), (HARD + REST + EXIT, 0.1)}
    total = sum(share for _, share in ways)
    assert total == pytest.approx(np.ones(2))


def test_a_model_that_some_samples_never_reach_costs_them_nothing() -> None:
    sheet = with_exits(np.array([0.2])).map(lambda _: {"probability": 0.2})
    assert macs(sheet) == pytest.approx([0.2 * HARD])
    assert expected(sheet, macs) == pytest.approx([0.2 * HARD])
    assert quantile_over(((1.0, sheet),), macs, 0.5).tolist() == [0.0]


def test_the_mean_of_a_latency_that_is_no_sum_is_taken_over_ways_to_run() -> None:
    model = PerMac(constant=3.0, power=0.5)
    found = expected(with_exits(FEW), model.predict)
    by_hand = (1 - FEW) * (3 + EASY**0.5) + FEW * (3 + HARD**0.5)
    assert found == pytest.approx(by_hand)
    assert (found < model.predict(with_exits(FEW)) - 1e-9).tolist() == [True] * 3 + [False] * 2


def test_what_is_stored_does_not_depend_on_samples() -> None:
    sheet = with_exits(FEW)
    assert parameters(at_quantile(sheet, 0.95)).tolist() == parameters(sheet).tolist()


def test_a_sheet_without_probabilities_is_its_only_way_to_run() -> None:
    sheet = at_length(np.zeros((2, 1)), 10)
    assert not is_dynamic(sheet)
    ((same, share),) = outcomes(sheet)
    assert same is sheet
    assert share.tolist() == [1.0, 1.0]
    assert is_dynamic(with_exits(FEW))


def test_a_quantile_is_at_least_0_and_below_1() -> None:
    with pytest.raises(ValueError, match=r"quantile in \[0, 1\), got 1"):
        at_quantile(with_exits(FEW), 1)


def test_the_95th_percentile_over_lengths_is_that_of_the_mixture() -> None:
    codes = np.array([[0.0], [9.0]])
    sheets = [at_length(codes, length) for length in (10, 20, 40)]
    by_length = np.array([[10 + 100, 100 + 100], [20 + 400, 200 + 400], [40 + 1600, 400 + 1600]])
    for shares, place in (((0.5, 0.4, 0.1), 2), ((0.5, 0.46, 0.04), 1), ((0.95, 0.03, 0.02), 0)):
        parts = list(zip(shares, sheets, strict=True))
        assert quantile_over(parts, macs, 0.95).tolist() == by_length[place].tolist()


def test_exits_and_lengths_together_are_those_of_sampled_data() -> None:
    rng = np.random.default_rng(1)
    shares, reach = (0.7, 0.3), (np.array([0.1, 0.5, 0.03]), np.array([0.3, 0.02, 0.25]))
    sheets = [
        with_exits(reach[0]),
        with_exits(reach[1]).map(lambda row: {"inputs": 2 * row["inputs"]}),
    ]
    drawn = [sampled(s, round(20_000 * p), rng) for s, p in zip(sheets, shares, strict=True)]
    data = np.concatenate(drawn)
    for q in (0.6, 0.8, 0.95):
        by_data = np.quantile(data, q, axis=0, method="inverted_cdf")
        found = quantile_over(list(zip(shares, sheets, strict=True)), macs, q)
        assert found.tolist() == by_data.tolist()


def test_lengths_are_counted_from_data() -> None:
    assert Lengths.of([40, 10, 10, 20]) == Lengths((10, 20, 40), (0.5, 0.25, 0.25))


@pytest.mark.parametrize(
    ("lengths", "shares", "fact"),
    [
        ((10, 20), (0.5, 0.6), "shares of sum 1"),
        ((10, 20), (1.5, -0.5), "shares of sum 1"),
        ((10, 10), (0.5, 0.5), "distinct ones above 0"),
        ((0, 10), (0.5, 0.5), "distinct ones above 0"),
        ((10,), (0.5, 0.5), "a share for each"),
        ((), (), "a share for each"),
    ],
)
def test_what_is_no_distribution_of_lengths_is_refused(
    lengths: tuple[int, ...], shares: tuple[float, ...], fact: str
) -> None:
    with pytest.raises(UserError, match=f"lengths: expected {fact}"):
        Lengths(lengths, shares)


def test_no_data_have_no_lengths() -> None:
    with pytest.raises(UserError, match="lengths: expected a share for each"):
        Lengths.of([])


def test_costs_of_a_recipe_with_exits_are_means_and_percentiles() -> None:
    model = PerMac(constant=3.0, power=0.5, margin=0.2)
    costs = RecipeCosts(lambda codes: with_exits(FEW[: len(codes)]), latency=model)
    table = costs.table(np.zeros((3, 1)))
    assert table["macs_p95"].tolist() == [HARD, HARD, EASY]
    assert table["latency_p95_ms"] == pytest.approx(3 + np.array([HARD, HARD, EASY]) ** 0.5)
    means = (1 - FEW[:3]) * EASY**0.5 + FEW[:3] * HARD**0.5
    assert table["latency_ms"] == pytest.approx(3 + means)
    assert (table["energy_p95"] > table["energy"]).tolist() == [True, True, False]
    assert (table["parameters"] == STEM + EXIT + REST + EXIT).all()


def test_a_table_lists_the_common_costs_and_those_a_run_names() -> None:
    def listed(**given: Any) -> list[str]:
        costs = RecipeCosts(lambda codes: at_length(codes, 10), **given)
        return list(costs.table(np.zeros((2, 1))))

    counted_ones = ["parameters", "macs", "memory_kb", "size_bytes", "size_kb", "size_mb"]
    assert listed() == counted_ones
    assert listed(latency=PerMac()) == [*counted_ones, "latency_ms"]
    named = listed(limits=[Limit("energy", "<=", 1)], names=["macs_p95", "accuracy"])
    assert named == [*counted_ones, "energy", "macs_p95"]


def test_a_static_model_costs_the_same_at_every_percentile() -> None:
    costs = RecipeCosts(lambda codes: at_length(codes, 10), latency=PerMac(constant=1.0))
    table = costs.table(np.zeros((2, 1)))
    for mean, percentile in (("macs", "macs_p95"), ("energy", "energy_p95")):
        assert table[percentile].tolist() == table[mean].tolist()
    assert table["latency_p95_ms"].tolist() == table["latency_ms"].tolist() == [111.0, 111.0]


def test_costs_at_a_length_are_those_of_its_sheet() -> None:
    limits = [Limit("latency_ms@20", "<=", 500), Limit("macs@40", "<=", 1e9)]
    costs = RecipeCosts(
        lambda codes: at_length(codes, 10), limits, PerMac(margin=0.1), sheet_at=at_length
    )
    codes = np.array([[0.0], [4.0], [9.0]])
    table = costs.table(codes)
    assert table["macs"].tolist() == [110, 150, 200]
    assert table["latency_ms@20"].tolist() == [420, 500, 600]
    assert table["macs@40"].tolist() == [1640, 1800, 2000]
    assert list(table)[-2:] == ["latency_ms@20", "macs@40"]
    # 462, 550 and 660 ms with the margin of 10 %.
    assert costs.violation(codes) == pytest.approx([0, 0.1, 0.32])


def test_costs_over_lengths_are_means_percentiles_and_the_most_memory() -> None:
    lengths = Lengths((10, 20, 40), (0.5, 0.46, 0.04))
    costs = RecipeCosts(
        lambda codes: at_length(codes, 10), (), PerMac(1.0), sheet_at=at_length, lengths=lengths
    )
    table = costs.table(np.zeros((1, 1)))
    assert table["macs"] == pytest.approx([0.5 * 110 + 0.46 * 420 + 0.04 * 1640])
    assert table["latency_ms"] == pytest.approx(1 + table["macs"])
    assert table["macs_p95"].tolist() == [420]
    assert table["latency_p95_ms"].tolist() == [421]
    alone = counted(at_length(np.zeros((1, 1)), 40))
    assert table["memory_kb"].tolist() == alone["memory_kb"].tolist()
    assert table["parameters"].tolist() == [1]


def test_a_length_that_nothing_tells_the_costs_of_is_refused() -> None:
    with pytest.raises(UserError, match="for inputs of length 98: expected costs without @LENGTH"):
        RecipeCosts(with_exits, [Limit("latency_ms@98", "<=", 1)], PerMac())
    with pytest.raises(UserError, match="for inputs of length 10"):
        RecipeCosts(with_exits, lengths=Lengths((10,), (1.0,)))


def test_a_measured_latency_is_not_that_of_other_lengths_or_of_samples_that_leave() -> None:
    codes = np.zeros((1, 1))
    measured = (codes, np.array([7.0]))
    static = RecipeCosts(
        lambda c: at_length(c, 10), (), PerMac(), measured=measured, sheet_at=at_length,
        names=["latency_ms@20"],
    ).table(codes)  # fmt: skip
    assert [static[n][0] for n in ("latency_ms", "latency_p95_ms", "latency_ms@20")] == [7, 7, 420]
    limits = [Limit("latency_p95_ms", "<=", HARD)]
    dynamic = RecipeCosts(
        lambda c: with_exits(FEW[: len(c)]), limits, PerMac(margin=0.1), measured=measured
    )
    table = dynamic.table(codes)
    mean = EASY + FEW[0] * (HARD - EASY)
    assert table["latency_ms"][0] == pytest.approx(mean)
    assert table["latency_p95_ms"][0] == HARD
    assert dynamic.violation(codes) == pytest.approx([0.1])


def test_on_the_longest_way_no_sample_leaves() -> None:
    assert macs(longest(with_exits(FEW))).tolist() == [HARD] * len(FEW)
    static = at_length(np.zeros((1, 1)), 10)
    assert longest(static).rows == static.rows


def test_shares_that_were_seen_take_the_place_of_those_that_were_planned() -> None:
    sheet = with_exits(FEW[:1])
    seen = with_shares(sheet, [0.75, 0.25])
    assert macs(seen)[0] == 0.75 * EASY + 0.25 * HARD
    assert [float(share[0]) for _, share in outcomes(seen)] == [0.75, 0.25]
    with pytest.raises(ValueError, match="one candidate with 3 ways to run, got 1 with 2"):
        with_shares(sheet, [0.5, 0.25, 0.25])


def test_millijoules_need_a_table_in_joules() -> None:
    table = EnergyTable("joules", "a meter", {32: 5e-12}, 0.0, 1e-12, 1e-10, 1000)
    limits = [Limit("energy_mj", "<=", 1e-9)]
    codes = np.zeros((1, 1))
    costs = RecipeCosts(lambda c: at_length(c, 10), limits, energy=table).table(codes)
    assert costs["energy_mj"] == pytest.approx(costs["energy"] * 5e-12 * 1e3)
    without = RecipeCosts(lambda c: at_length(c, 10), limits)
    with pytest.raises(UserError, match=r"nothing computes 'energy_mj'.* device file .*joules"):
        without.violation(codes)
