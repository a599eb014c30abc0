from __future__ import annotations

import json

import numpy as np
import pytest

from stillhouse.core.cost.file_size import SizeModel
from stillhouse.core.cost.sheet import Operator, OperatorSheet
from stillhouse.core.cost.terms import weight_bytes


def _sheet(candidates: int, seed: int = 0) -> OperatorSheet:
    """Up to three layers, of which the candidates run some, each a matmul and a norm."""
    rng = np.random.default_rng(seed)
    width = rng.integers(8, 64, candidates).astype(float)
    depth = rng.integers(1, 4, candidates)
    rows = []
    for layer in range(3):
        base = {"active": (depth > layer).astype(float), "positions": 20}
        rows += [
            Operator("up", "linear", "ff", {**base, "inputs": width, "outputs": 32, "bias": 1}),
            Operator("norm", "norm", "norm", {**base, "outputs": width, "bias": 1}),
        ]
    return OperatorSheet(candidates, tuple(rows))


def test_a_files_overhead_is_recovered_exactly_and_its_weights_are_not_fitted() -> None:
    sheet, unseen = _sheet(20), _sheet(20, seed=1)

    def size(s: OperatorSheet) -> np.ndarray:
        return weight_bytes(s) + 300.0 + 90.0 * s.column("active").sum(axis=0)

    model = SizeModel.fit(sheet, size(sheet))
    assert model.predict(unseen) == pytest.approx(size(unseen), abs=1e-3)
    assert model.residual_bytes < 1e-3
    again = SizeModel.from_json(json.loads(json.dumps(model.to_json())))
    assert np.array_equal(again.predict(unseen), model.predict(unseen))


def test_norms_whose_entries_are_folded_away_are_recovered_too() -> None:
    sheet, unseen = _sheet(20), _sheet(20, seed=1)

    def size(s: OperatorSheet) -> np.ndarray:
        scales = sum(row["active"] * row["outputs"] for row in s.rows if row.kind == "norm")
        return weight_bytes(s) + 300.0 - 4.0 * scales

    assert SizeModel.fit(sheet, size(sheet)).predict(unseen) == pytest.approx(
        size(unseen), abs=1e-3
    )


def test_operators_of_other_bits_take_their_own_bytes() -> None:
    def rounded(sheet: OperatorSheet, seed: int) -> OperatorSheet:
        bits = np.random.default_rng(seed).choice([8.0, 32.0], sheet.candidates)
        cells = {"weight_bits": bits, "activation_bits": bits}
        return sheet.map(lambda row: cells if row.kind == "linear" else None)

    def size(s: OperatorSheet) -> np.ndarray:
        rows = (row for row in s.rows if row.kind == "linear")
        eight = sum(row["active"] * np.equal(row["weight_bits"], 8) for row in rows)
        return weight_bytes(s) + 300.0 + 90.0 * s.column("active").sum(axis=0) + 40.0 * eight

    model = SizeModel.fit(rounded(_sheet(20), 2), size(rounded(_sheet(20), 2)))
    unseen = rounded(_sheet(20, seed=1), 3)
    assert model.predict(unseen) == pytest.approx(size(unseen), abs=1e-3)
