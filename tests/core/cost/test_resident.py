"""Peak resident memory fitted to a few measured artefacts."""

from __future__ import annotations

import json

import numpy as np
import pytest

from stillhouse.core.cost.limits import Limit
from stillhouse.core.cost.model import RecipeCosts
from stillhouse.core.cost.resident import ResidentModel
from stillhouse.core.cost.sheet import Operator, OperatorSheet
from stillhouse.core.cost.terms import peak_activation_bytes, weight_bytes


def sheet(widths: list[float]) -> OperatorSheet:
    width = np.array(widths)
    cells = {"inputs": width, "outputs": width, "positions": 50.0, "bias": 1.0}
    wide = {"outputs": 4 * width, "positions": 50.0}
    rows = (Operator("fc", "linear", "head", cells), Operator("act", "elementwise", "head", wide))
    return OperatorSheet(len(widths), rows)


def true_bytes(of: OperatorSheet) -> np.ndarray:
    return 9e6 + 1.1 * weight_bytes(of) + 0.5 * peak_activation_bytes(of)


def test_what_is_a_sum_of_its_parts_is_found_again() -> None:
    seen, unseen = sheet([8, 16, 64, 128, 256, 500]), sheet([32, 400])
    model = ResidentModel.fit(seen, true_bytes(seen))
    assert model.predict(unseen) == pytest.approx(true_bytes(unseen), rel=1e-6)
    assert model.margin < 1e-6


def test_noise_becomes_a_margin() -> None:
    seen = sheet([8, 16, 64, 128, 256, 500])
    noisy = true_bytes(seen) * np.array([1.0, 1.02, 0.98, 1.03, 0.97, 1.0])
    assert 0.01 < ResidentModel.fit(seen, noisy).margin < 0.2


def test_json_gives_the_same_model_back() -> None:
    seen = sheet([8, 16, 64, 128, 256])
    model = ResidentModel.fit(seen, true_bytes(seen))
    again = ResidentModel.from_json(json.loads(json.dumps(model.to_json())))
    assert (again.predict(seen) == model.predict(seen)).all()
    assert again.margin == model.margin


def test_too_few_are_refused() -> None:
    seen = sheet([8, 16, 64, 128])
    with pytest.raises(ValueError, match="at least 5"):
        ResidentModel.fit(seen, true_bytes(seen))


def test_a_limit_on_it_is_tightened_by_its_margin() -> None:
    seen = sheet([8, 16, 64, 128, 256, 500])
    model = ResidentModel({"constant": 1e6, "weight_bytes": 0.0, "activation_bytes": 0.0}, 0.1)
    costs = RecipeCosts(lambda codes: seen, [Limit("resident_kb", "<=", 1050.0)], resident=model)
    assert costs.table(np.zeros((6, 1)))["resident_kb"].tolist() == [1000.0] * 6
    assert (costs.violation(np.zeros((6, 1))) > 0).all()
