from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest

from stillhouse.core.cost.latency import FittedLatency, from_json
from stillhouse.core.cost.sheet import Operator, OperatorSheet
from stillhouse.core.errors import UserError

MakeSheet = Callable[..., OperatorSheet]
MakeMs = Callable[..., np.ndarray]


def test_a_latency_of_the_models_own_form_is_recovered(
    layered: MakeSheet, device_ms: MakeMs
) -> None:
    sheet, unseen = layered(40), layered(30, seed=1)
    model = FittedLatency.fit(sheet, device_ms(sheet))
    assert model.predict(unseen) == pytest.approx(device_ms(unseen), rel=1e-3)
    assert model.report.mape < 1e-3
    assert model.report.spearman > 0.999
    assert model.report.within_10_percent == 1.0
    assert model.report.measured == 40


def test_a_slow_device_is_fitted_as_well_as_a_fast_one(
    layered: MakeSheet, device_ms: MakeMs
) -> None:
    sheet = layered(30)
    fast = FittedLatency.fit(sheet, device_ms(sheet, noise=0.05))
    slow = FittedLatency.fit(sheet, 10_000 * device_ms(sheet, noise=0.05))
    assert slow.predict(sheet) == pytest.approx(10_000 * fast.predict(sheet), rel=1e-9)
    assert slow.margin == pytest.approx(fast.margin)


def test_widths_cost_whole_blocks_of_columns_where_kernels_work_in_them(
    layered: MakeSheet,
) -> None:
    def blocked_ms(sheet: OperatorSheet) -> np.ndarray:
        total = np.full(sheet.candidates, 0.01)
        for row in sheet.rows:
            if row.kind == "linear":
                blocks = np.ceil(np.asarray(row["outputs"]) / 16)
                total += row["active"] * (1e-6 * row["positions"] * row["inputs"] * blocks + 1e-3)
        return total

    sheet, unseen = layered(60), layered(60, seed=1)
    model = FittedLatency.fit(sheet, blocked_ms(sheet))
    assert model.predict(unseen) == pytest.approx(blocked_ms(unseen), rel=2e-3)


def test_no_part_of_a_latency_is_negative_however_noisy_the_measurements(
    layered: MakeSheet, device_ms: MakeMs
) -> None:
    sheet = layered(12)
    model = FittedLatency.fit(sheet, device_ms(sheet, noise=0.8))
    assert min(model.coefficients.values()) >= 0
    assert (model.predict(sheet) > 0).all()


def test_the_margin_covers_95_in_100_under_predictions(
    layered: MakeSheet, device_ms: MakeMs
) -> None:
    covered, margins = [], []
    for seed in range(20):
        sheet, unseen = layered(60, seed), layered(300, seed + 100)
        rng = np.random.default_rng(seed)
        model = FittedLatency.fit(sheet, device_ms(sheet) * rng.uniform(0.9, 1.1, 60))
        measured = device_ms(unseen) * rng.uniform(0.9, 1.1, 300)
        covered.append((measured <= model.predict(unseen) * (1 + model.margin)).mean())
        margins.append(model.margin)
    assert 0.94 < np.mean(covered) < 0.98
    # A model that knew all but the noise would need 0.09.
    assert np.median(margins) < 0.12


def test_a_deviation_is_the_noise_near_what_was_measured_and_more_far_from_it(
    layered: MakeSheet, device_ms: MakeMs
) -> None:
    sheet, unseen = layered(60), layered(2000, seed=1)
    model = FittedLatency.fit(sheet, device_ms(sheet, noise=0.03))
    predicted, deviation = model.predict_with_doubt(unseen)
    assert predicted == pytest.approx(model.predict(unseen))
    errors = (device_ms(unseen, noise=0.03) - predicted) / deviation
    assert 0.6 < (np.abs(errors) < 1).mean() < 0.76
    wide = {"inputs": 4000, "outputs": 4000, "positions": 20}
    larger = sheet.with_rows(Operator("wide", "linear", "ff", wide))
    far, far_deviation = model.predict_with_doubt(larger)
    assert (far_deviation / far).min() > (deviation / predicted).max()


def test_the_report_is_about_candidates_the_fit_has_not_seen(
    layered: MakeSheet, device_ms: MakeMs
) -> None:
    sheet = layered(8)
    measured = device_ms(sheet, noise=0.4)
    model = FittedLatency.fit(sheet, measured)
    in_sample = np.abs(model.predict(sheet) / measured - 1).mean()
    assert model.report.mape > in_sample


def test_a_fitted_model_survives_json(layered: MakeSheet, device_ms: MakeMs) -> None:
    sheet = layered(20)
    model = FittedLatency.fit(sheet, device_ms(sheet, noise=0.1))
    again = from_json(json.loads(json.dumps(model.to_json())))
    assert isinstance(again, FittedLatency)
    assert np.array_equal(again.predict(sheet), model.predict(sheet))
    assert np.array_equal(again.predict_with_doubt(sheet), model.predict_with_doubt(sheet))
    assert (again.margin, again.report) == (model.margin, model.report)


@pytest.mark.parametrize(
    ("key", "bad"),
    [("covariance", [[1.0]]), ("coefficients", {"constant": "x"}), ("report", {}), ("noise", None)],
)
def test_foreign_content_is_refused(
    layered: MakeSheet, device_ms: MakeMs, key: str, bad: object
) -> None:
    raw = FittedLatency.fit(layered(20), device_ms(layered(20))).to_json()
    with pytest.raises((KeyError, TypeError, ValueError)):
        from_json({**raw, key: bad})


def test_too_few_measurements_are_a_user_error(layered: MakeSheet, device_ms: MakeMs) -> None:
    sheet = layered(4)
    with pytest.raises(UserError, match="at least 5 measured candidates, there are 4"):
        FittedLatency.fit(sheet, device_ms(sheet))


@pytest.mark.parametrize("bad", [np.nan, 0.0, -1.0, np.inf])
def test_latencies_that_are_not_positive_numbers_are_refused(
    layered: MakeSheet, device_ms: MakeMs, bad: float
) -> None:
    sheet = layered(8)
    measured = device_ms(sheet)
    measured[3] = bad
    with pytest.raises(ValueError, match="positive latencies"):
        FittedLatency.fit(sheet, measured)


def test_arithmetic_that_was_never_measured_is_refused(
    layered: MakeSheet, device_ms: MakeMs
) -> None:
    sheet = layered(8)
    model = FittedLatency.fit(sheet, device_ms(sheet))
    conv = Operator("conv", "conv1d", "entry", {"inputs": 4, "outputs": 4, "kernel": 3})
    with pytest.raises(ValueError, match="macs conv1d"):
        model.predict(sheet.with_rows(conv))
