from __future__ import annotations

import json
from itertools import product

import numpy as np
import pytest

from stillhouse.core.cost.latency import BlockTable, Roofline, from_json
from stillhouse.core.cost.latency.shapes import Shape
from stillhouse.core.cost.sheet import Operator, OperatorSheet

SESSION_MS = 0.005


def _ms(shape: Shape) -> float:
    """Outputs are worked on in sixteens: no price by the product can say so."""
    return 0.001 + 1e-6 * shape.inputs * 16 * np.ceil(shape.outputs / 16)


def _blocks() -> dict[Shape, float]:
    linear = [Shape("linear", 20, *size) for size in product((8, 16, 32, 64), (8, 16, 40, 64))]
    norms = {Shape("norm", 20, 0, 8): 0.003, Shape("norm", 20, 0, 64): 0.004}
    return {Shape("session"): SESSION_MS, **{shape: _ms(shape) for shape in linear}, **norms}


def _sheet(inputs: list[float], outputs: list[float]) -> OperatorSheet:
    cells = {"positions": 20, "inputs": np.array(inputs), "outputs": np.array(outputs)}
    return OperatorSheet(len(inputs), (Operator("in", "linear", "", cells),))


def test_measured_shapes_cost_what_was_measured() -> None:
    found = BlockTable.fit(_blocks()).predict(_sheet([8, 64, 16], [40, 8, 16]))
    wanted = [_ms(Shape("linear", 20, *size)) for size in ((8, 40), (64, 8), (16, 16))]
    assert found == pytest.approx(SESSION_MS + np.array(wanted), rel=1e-12)


def test_other_shapes_are_like_their_measured_neighbours() -> None:
    found = BlockTable.fit(_blocks()).predict(_sheet([17, 60], [40, 41])) - SESSION_MS
    wanted = [_ms(Shape("linear", 20, *size)) for size in ((17, 40), (60, 41))]
    assert found == pytest.approx(wanted, rel=0.05)


def test_far_from_everything_measured_the_prices_decide() -> None:
    odd = {shape: ms * (3 if shape.inputs == 8 else 1) for shape, ms in _blocks().items()}
    table, roofline = BlockTable.fit(odd), Roofline.fit(odd)
    near, far = _sheet([9], [9]), _sheet([4096], [4096])
    assert table.predict(far) == pytest.approx(roofline.predict(far), rel=0.01)
    assert table.predict(near)[0] > 1.1 * roofline.predict(near)[0]


def test_inactive_operators_cost_nothing() -> None:
    sheet = _sheet([8, 8], [16, 16])
    idle = sheet.map(lambda row: {"active": np.array([1.0, 0.0])})
    found = BlockTable.fit(_blocks()).predict(idle)
    assert found == pytest.approx([SESSION_MS + _ms(Shape("linear", 20, 8, 16)), SESSION_MS])


def test_the_report_is_about_blocks_interpolated_from_the_others() -> None:
    model = BlockTable.fit(_blocks())
    # 14 of 16 lie between the least and the most in products and in elements.
    assert model.report.measured == 14
    assert 0 < model.report.mape < 0.3
    assert model.report.spearman > 0.8


def test_a_kind_without_an_entry_is_refused() -> None:
    row = Operator("lstm", "recurrent", "", {"inputs": 4, "outputs": 4, "groups": 4})
    with pytest.raises(ValueError, match="no operator of the kind recurrent was measured"):
        BlockTable.fit(_blocks()).predict(OperatorSheet(1, (row,)))


def test_coverage_is_the_share_of_operators_that_were_measured_themselves() -> None:
    table = BlockTable.fit(_blocks())
    assert table.covered(_sheet([8, 9, 16, 64], [8, 8, 40, 64])) == 0.75


def test_a_table_survives_json() -> None:
    model, sheet = BlockTable.fit(_blocks()), _sheet([8, 23], [40, 77])
    again = from_json(json.loads(json.dumps(model.to_json())))
    assert isinstance(again, BlockTable)
    assert np.array_equal(again.predict(sheet), model.predict(sheet))
    assert (again.margin, again.report) == (model.margin, model.report)


def test_many_candidates_are_predicted_as_one_by_one() -> None:
    rng = np.random.default_rng(0)
    inputs, outputs = rng.integers(1, 90, (2, 50)).astype(float)
    table = BlockTable.fit(_blocks())
    together = table.predict(_sheet(inputs.tolist(), outputs.tolist()))
    alone = [table.predict(_sheet([a], [b]))[0] for a, b in zip(inputs, outputs, strict=True)]
    assert together == pytest.approx(alone, rel=1e-12)
