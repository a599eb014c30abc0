from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest

from stillhouse.core.cost.latency import FittedLatency, LatencyModel, adapted, from_json
from stillhouse.core.cost.sheet import Operator, OperatorSheet
from stillhouse.core.errors import UserError

MakeSheet = Callable[..., OperatorSheet]
MakeMs = Callable[..., np.ndarray]


@pytest.fixture
def base(layered: MakeSheet, device_ms: MakeMs) -> LatencyModel:
    return FittedLatency.fit(layered(60), device_ms(layered(60), noise=0.02))


def _error(model: LatencyModel, sheet: OperatorSheet, measured: np.ndarray) -> float:
    return float(np.abs(model.predict(sheet) / measured - 1).mean())


@pytest.mark.parametrize(
    ("operator_ms", "mac_ms"),
    [(0.01, 3e-8), (0.002, 9e-8), (0.006, 9e-8)],
    ids=["operators five times as dear", "a third of the arithmetic", "three times slower"],
)
def test_ten_measurements_adapt_a_model_to_another_device(
    base: LatencyModel,
    layered: MakeSheet,
    device_ms: MakeMs,
    operator_ms: float,
    mac_ms: float,
) -> None:
    def there(sheet: OperatorSheet) -> np.ndarray:
        return device_ms(sheet, operator_ms, mac_ms, noise=0.02)

    few, unseen = layered(10, seed=5), layered(200, seed=6)
    model = adapted(base, few, there(few))
    assert _error(base, unseen, there(unseen)) > 0.2
    assert _error(model, unseen, there(unseen)) < 0.04
    assert model.report.measured == 10


def test_what_the_base_knows_is_kept_where_devices_differ_by_a_factor(
    layered: MakeSheet, device_ms: MakeMs
) -> None:
    known = FittedLatency.fit(layered(60), device_ms(layered(60)))
    errors = []
    for seed in range(10):
        few, unseen = layered(6, seed=seed), layered(200, seed=100 + seed)
        measured = 3 * device_ms(few, noise=0.1)
        anew = FittedLatency.fit(few, measured)
        model = adapted(known, few, measured)
        truth = 3 * device_ms(unseen)
        errors.append((_error(model, unseen, truth), _error(anew, unseen, truth)))
    of_adapted, of_anew = np.mean(errors, axis=0)
    assert of_adapted < 0.8 * of_anew


def test_the_report_is_about_candidates_the_adaptation_has_not_seen(
    base: LatencyModel, layered: MakeSheet, device_ms: MakeMs
) -> None:
    few = layered(10, seed=5)
    measured = device_ms(few, 0.01, noise=0.2)
    model = adapted(base, few, measured)
    assert model.report.mape > _error(model, few, measured)


def test_an_adapted_model_survives_json_with_its_base(
    base: LatencyModel, layered: MakeSheet, device_ms: MakeMs
) -> None:
    few, unseen = layered(10, seed=5), layered(30, seed=6)
    model = adapted(base, few, device_ms(few, 0.01))
    again = from_json(json.loads(json.dumps(model.to_json())))
    assert np.array_equal(again.predict(unseen), model.predict(unseen))
    assert (again.kind, again.margin, again.report) == ("adapted", model.margin, model.report)


def test_too_few_measurements_are_a_user_error(
    base: LatencyModel, layered: MakeSheet, device_ms: MakeMs
) -> None:
    with pytest.raises(UserError, match="at least 5 measured candidates, there are 3"):
        adapted(base, layered(3), device_ms(layered(3)))


def test_work_that_the_adaptation_has_not_seen_is_refused(
    layered: MakeSheet, device_ms: MakeMs
) -> None:
    conv = Operator("conv", "conv1d", "entry", {"inputs": 4, "outputs": 4, "kernel": 3})
    wider = layered(20).with_rows(conv)
    base = FittedLatency.fit(wider, device_ms(wider))
    model = adapted(base, layered(10), device_ms(layered(10)))
    with pytest.raises(ValueError, match="adapted without macs conv1d"):
        model.predict(wider)
