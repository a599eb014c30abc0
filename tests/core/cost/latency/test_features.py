from __future__ import annotations

import numpy as np

from stillhouse.core.cost.latency.features import features
from stillhouse.core.cost.sheet import Operator, OperatorSheet


def _linear(**cells: object) -> OperatorSheet:
    plain = {"inputs": 10, "outputs": 24, "positions": 5}
    return OperatorSheet(2, (Operator("x", "linear", "ff", {**plain, **cells}),))


def test_work_is_counted_by_kind() -> None:
    assert {name: column.tolist() for name, column in features(_linear()).items()} == {
        "constant": [1, 1],
        "operators": [1, 1],
        "macs linear": [1200, 1200],
        "block macs linear": [1600, 1600],
        "written linear": [120, 120],
    }


def test_a_row_counts_where_it_is_active_and_as_often_as_it_is_reached() -> None:
    found = features(_linear(active=np.array([0.0, 1.0]), probability=0.5))
    assert found["macs linear"].tolist() == [0, 600]
    assert found["operators"].tolist() == [0, 0.5]


def test_operands_of_other_bits_have_prices_of_their_own() -> None:
    found = features(_linear(weight_bits=np.array([8.0, 32.0]), activation_bits=8.0))
    assert found["macs linear w8a8"].tolist() == [1200, 0]
    assert found["macs linear w32a8"].tolist() == [0, 1200]
    assert "macs linear" not in found


def test_work_that_no_candidate_has_is_no_feature() -> None:
    norm = Operator("n", "norm", "norm", {"active": 0.0, "outputs": 8})
    sent = Operator("t", "transfer", "transfer", {"outputs": 8})
    assert features(_linear()).keys() == features(_linear().with_rows(norm, sent)).keys()


def test_scales_found_at_every_inference_have_a_price_of_their_own() -> None:
    bits = {"inputs": 4, "outputs": 16, "weight_bits": 8, "activation_bits": 8, "kept_bits": 32}
    scale = np.array([0.0, 1.0])
    sheet = OperatorSheet(2, (Operator("a", "linear", "g", {**bits, "dynamic_scale": scale}),))
    found = features(sheet)
    assert found["operators linear w8a8"].tolist() == [1, 0]
    assert found["operators linear w8a8 dynamic"].tolist() == [0, 1]
    assert "changes of width" not in found


def test_activations_that_come_in_another_width_are_counted() -> None:
    eight = {"inputs": 4, "outputs": 16, "weight_bits": 8, "activation_bits": 8}
    active = np.array([1.0, 0.0])
    rows = (
        Operator("a", "conv1d", "g", {**eight, "active": active}),
        Operator("norm", "norm", "g", {"outputs": 16}),
        Operator("b", "conv1d", "g", {"inputs": 4, "outputs": 16}),
        Operator("c", "conv1d", "g", eight),
    )
    assert features(OperatorSheet(2, rows))["changes of width"].tolist() == [3, 1]
