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
