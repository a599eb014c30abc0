from __future__ import annotations

import json

import numpy as np
import pytest

from stillhouse.core.cost.file_size import SizeModel
from stillhouse.core.cost.latency import FittedLatency, spearman
from stillhouse.core.cost.latency import from_json as latency_from_json
from stillhouse.core.cost.sheet import Operator, OperatorSheet
from stillhouse.core.cost.spread import spread
from stillhouse.core.cost.terms import macs, operators, weight_bytes
from stillhouse.core.errors import UserError


def _sheet(candidates: int, seed: int = 0) -> OperatorSheet:
    """Up to five layers, of which the candidates run some, each with two matmuls and a norm."""
    rng = np.random.default_rng(seed)
    width = rng.integers(8, 64, candidates).astype(float)
    depth = rng.integers(1, 6, candidates)
    rows = [Operator("in", "linear", "entry", {"inputs": 13, "outputs": width, "positions": 20})]
    for layer in range(5):
        active = (depth > layer).astype(float)
        base = {"active": active, "positions": 20}
        hidden = width * rng.integers(1, 4, candidates)
        rows += [
            Operator("up", "linear", "ff", {**base, "inputs": width, "outputs": hidden, "bias": 1}),
            Operator("mix", "matmul", "att", {**base, "inputs": 16, "outputs": 20, "groups": 2}),
            Operator("norm", "norm", "norm", {**base, "outputs": width, "bias": 1}),
        ]
    return OperatorSheet(candidates, tuple(rows))


def _true_ms(sheet: OperatorSheet) -> np.ndarray:
    return 0.01 + 0.002 * operators(sheet) + 3e-8 * macs(sheet)


def test_a_latency_of_the_models_own_form_is_recovered() -> None:
    sheet, unseen = _sheet(40), _sheet(30, seed=1)
    model = FittedLatency.fit(sheet, _true_ms(sheet))
    assert model.predict(unseen) == pytest.approx(_true_ms(unseen), rel=1e-3)
    assert model.report.mape < 1e-3
    assert model.report.spearman > 0.999
    assert model.report.within_10_percent == 1.0
    assert model.report.measured == 40


def test_no_part_of_a_latency_is_negative_however_noisy_the_measurements() -> None:
    sheet = _sheet(12)
    noise = np.random.default_rng(3).uniform(0.3, 3.0, 12)
    model = FittedLatency.fit(sheet, _true_ms(sheet) * noise)
    assert min(model.coefficients.values()) >= 0
    assert (model.predict(sheet) > 0).all()


def test_the_margin_covers_95_in_100_under_predictions() -> None:
    sheet, unseen = _sheet(400), _sheet(400, seed=1)
    rng = np.random.default_rng(5)
    model = FittedLatency.fit(sheet, _true_ms(sheet) * rng.uniform(0.9, 1.1, 400))
    measured = _true_ms(unseen) * rng.uniform(0.9, 1.1, 400)
    covered = (measured <= model.predict(unseen) * (1 + model.margin)).mean()
    assert 0.91 < covered < 0.985


def test_the_report_is_about_candidates_the_fit_has_not_seen() -> None:
    sheet = _sheet(8)
    noise = np.random.default_rng(0).uniform(0.5, 2.0, 8)
    measured = _true_ms(sheet) * noise
    model = FittedLatency.fit(sheet, measured)
    in_sample = np.abs(model.predict(sheet) / measured - 1).mean()
    assert model.report.mape > in_sample


def test_a_fitted_model_survives_json() -> None:
    sheet = _sheet(20)
    model = FittedLatency.fit(sheet, _true_ms(sheet))
    again = latency_from_json(json.loads(json.dumps(model.to_json())))
    assert np.array_equal(again.predict(sheet), model.predict(sheet))
    assert (again.margin, again.report) == (model.margin, model.report)


def test_too_few_measurements_are_a_user_error() -> None:
    sheet = _sheet(4)
    with pytest.raises(UserError, match="at least 5 measured candidates, there are 4"):
        FittedLatency.fit(sheet, _true_ms(sheet))


@pytest.mark.parametrize("bad", [np.nan, 0.0, -1.0, np.inf])
def test_latencies_that_are_not_positive_numbers_are_refused(bad: float) -> None:
    sheet = _sheet(8)
    measured = _true_ms(sheet)
    measured[3] = bad
    with pytest.raises(ValueError, match="positive latencies"):
        FittedLatency.fit(sheet, measured)


def test_arithmetic_that_was_never_measured_is_refused() -> None:
    sheet = _sheet(8)
    model = FittedLatency.fit(sheet, _true_ms(sheet))
    conv = Operator("conv", "conv1d", "entry", {"inputs": 4, "outputs": 4, "kernel": 3})
    with pytest.raises(ValueError, match="macs conv1d"):
        model.predict(sheet.with_rows(conv))


def test_spearman_is_one_for_any_increasing_relation_and_shares_ranks_of_ties() -> None:
    x = np.array([3.0, 1.0, 2.0, 5.0])
    assert spearman(x, np.exp(x)) == pytest.approx(1.0)
    assert spearman(x, -x) == pytest.approx(-1.0)
    assert spearman(x, np.ones(4)) == 0.0
    # scipy.stats.spearmanr([1, 2, 2, 4], [1, 3, 2, 4]) is 9 / sqrt(90).
    tied = spearman(np.array([1.0, 2.0, 2.0, 4.0]), np.array([1.0, 3.0, 2.0, 4.0]))
    assert tied == pytest.approx(9 / np.sqrt(90))


def test_a_files_overhead_is_recovered_exactly_and_its_weights_are_not_fitted() -> None:
    sheet, unseen = _sheet(20), _sheet(20, seed=1)

    def size(s: OperatorSheet) -> np.ndarray:
        return weight_bytes(s) + 300.0 + 90.0 * s.column("active").sum(axis=0)

    model = SizeModel.fit(sheet, size(sheet))
    assert model.predict(unseen) == pytest.approx(size(unseen), abs=1e-3)
    assert model.residual_bytes < 1e-3
    again = SizeModel.from_json(json.loads(json.dumps(model.to_json())))
    assert np.array_equal(again.predict(unseen), model.predict(unseen))


def test_a_spread_starts_with_the_smallest_and_the_largest() -> None:
    costs = np.array([[10.0, 3.0], [1.0, 1.0], [100.0, 6.0], [5.0, 2.0]])
    assert list(spread(costs, 2, np.random.default_rng(0))) == [1, 2]


def test_a_spread_covers_the_range_more_evenly_than_the_candidates_do() -> None:
    rng = np.random.default_rng(0)
    costs = np.exp(rng.normal(10, 1, (2000, 1)))
    chosen = np.log(costs[spread(costs, 20, rng), 0])
    gaps = np.diff(np.sort(chosen))
    assert gaps.max() < 3 * np.ptp(np.log(costs)) / 19


def test_a_spread_never_repeats_a_candidate_or_its_equal() -> None:
    costs = np.array([[1.0], [2.0], [2.0], [3.0]])
    chosen = spread(costs, 10, np.random.default_rng(0))
    assert sorted(costs[chosen, 0]) == [1.0, 2.0, 3.0]


def test_a_spread_over_equal_candidates_is_one_of_them() -> None:
    assert len(spread(np.full((5, 2), 7.0), 3, np.random.default_rng(0))) == 1
    assert len(spread(np.empty((0, 2)), 3, np.random.default_rng(0))) == 0


def test_a_spread_follows_from_its_seed() -> None:
    costs = np.random.default_rng(1).integers(1, 9, (200, 2)).astype(float)
    one, two = (spread(costs, 12, np.random.default_rng(4)) for _ in range(2))
    assert np.array_equal(one, two)
