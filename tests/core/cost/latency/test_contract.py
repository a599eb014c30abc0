from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from stillhouse.core.cost.latency import FittedLatency, from_json
from stillhouse.core.cost.sheet import OperatorSheet

MakeSheet = Callable[..., OperatorSheet]
MakeMs = Callable[..., np.ndarray]


def test_a_model_judged_on_other_networks_predicts_as_before(
    layered: MakeSheet, device_ms: MakeMs
) -> None:
    sheet, others = layered(20), layered(50, seed=1)
    model = FittedLatency.fit(sheet, device_ms(sheet))
    judged = model.judged_on(others, 1.5 * device_ms(others))
    assert np.array_equal(judged.predict(others), model.predict(others))
    assert judged.margin == pytest.approx(0.5, abs=0.01)
    assert judged.report.mape == pytest.approx(1 / 3, abs=0.01)
    assert judged.report.measured == 50
    assert model.report.measured == 20


def test_judging_needs_a_latency_for_each_network(layered: MakeSheet, device_ms: MakeMs) -> None:
    model = FittedLatency.fit(layered(20), device_ms(layered(20)))
    with pytest.raises(ValueError, match="expected 20 positive latencies, came shape"):
        model.judged_on(layered(20), np.ones(19))


@pytest.mark.parametrize("raw", [{}, {"kind": "oracle"}, {"kind": ["fitted"]}])
def test_a_stored_model_of_no_known_kind_is_refused(raw: dict[str, object]) -> None:
    with pytest.raises((KeyError, TypeError)):
        from_json(raw)
