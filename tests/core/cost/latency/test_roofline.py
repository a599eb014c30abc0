from __future__ import annotations

import json
from itertools import product

import numpy as np
import pytest

from stillhouse.core.cost.latency import Roofline, from_json
from stillhouse.core.cost.latency.shapes import Shape
from stillhouse.core.cost.sheet import Operator, OperatorSheet
from stillhouse.core.cost.terms import macs
from stillhouse.core.errors import UserError

SESSION_MS, OVERHEAD_MS, MAC_MS = 0.005, 0.002, 1e-7


def _linear_ms(shape: Shape) -> float:
    return OVERHEAD_MS + MAC_MS * shape.positions * shape.inputs * shape.outputs


def _blocks() -> dict[Shape, float]:
    """A device on which only overhead and products take time."""
    sizes = product((1, 20), (8, 16, 64), (8, 24, 96))
    linear = [Shape("linear", *size, bias=1) for size in sizes]
    norms = [Shape("norm", 20, 0, width, bias=1) for width in (8, 16, 32)]
    return {
        Shape("session"): SESSION_MS,
        **{shape: _linear_ms(shape) for shape in linear},
        **dict.fromkeys(norms, OVERHEAD_MS),
    }


def _sheet() -> OperatorSheet:
    width, active = np.array([12.0, 40.0, 64.0]), np.array([1.0, 0.0, 1.0])
    cells = {"positions": 20, "inputs": 16, "outputs": width, "bias": 1}
    return OperatorSheet(
        3,
        (
            Operator("in", "linear", "", cells),
            Operator("norm", "norm", "", {"positions": 20, "outputs": width, "bias": 1}),
            Operator("again", "linear", "", {**cells, "active": active}),
        ),
    )


def test_a_device_of_the_rooflines_own_form_is_recovered() -> None:
    sheet = _sheet()
    operators = np.array([3.0, 2.0, 3.0])
    true_ms = SESSION_MS + OVERHEAD_MS * operators + MAC_MS * macs(sheet)
    model = Roofline.fit(_blocks())
    assert model.predict(sheet) == pytest.approx(true_ms, rel=2e-3)
    assert model.report.mape < 2e-3
    assert model.margin < 2e-3


def test_no_price_is_negative_however_noisy_the_blocks() -> None:
    rng = np.random.default_rng(0)
    noisy = {shape: ms * rng.uniform(0.4, 2.5) for shape, ms in _blocks().items()}
    for price in Roofline.fit(noisy).prices.values():
        assert min(price.overhead_ms, price.part_ms, price.mac_ms, price.element_ms) >= 0


def test_the_margin_grows_with_the_blocks_noise() -> None:
    rng = np.random.default_rng(0)
    noisy = {shape: ms * rng.uniform(0.7, 1.4) for shape, ms in _blocks().items()}
    model = Roofline.fit(noisy)
    assert model.margin > 0.02
    assert model.report.within_10_percent < 1


def test_weights_that_do_not_fit_the_cache_are_paid_for() -> None:
    blocks = _blocks()
    for together, extra_ms in ((4, 0.0), (8, 0.0), (16, 0.004)):
        blocks[Shape("cache", 8, 128, 128, groups=together)] = 0.01 + extra_ms
    wide = {"inputs": 1024, "outputs": np.array([16.0, 512.0]), "positions": 20, "bias": 1}
    sheet = OperatorSheet(2, (Operator("in", "linear", "", wide),))
    extra = Roofline.fit(blocks).predict(sheet) - Roofline.fit(_blocks()).predict(sheet)
    # 64 kB of weights fit; 2 MB are dearer than 1 MB, which 16 of 64 kB each are.
    assert extra == pytest.approx([0, 2 * 16 * 0.004])


def test_a_kind_that_was_not_profiled_is_refused_by_name() -> None:
    row = Operator("conv", "conv1d", "", {"inputs": 4, "outputs": 4, "kernel": 3})
    with pytest.raises(ValueError, match="conv1d was measured on this device; measure"):
        Roofline.fit(_blocks()).predict(OperatorSheet(1, (row,)))


def test_bits_that_were_not_profiled_are_refused() -> None:
    cells = {"inputs": 8, "outputs": 8, "weight_bits": 8, "activation_bits": 8}
    with pytest.raises(ValueError, match="linear w8a8"):
        Roofline.fit(_blocks()).predict(OperatorSheet(1, (Operator("in", "linear", "", cells),)))


def test_a_roofline_survives_json() -> None:
    blocks = {**_blocks(), Shape("cache", 8, 64, 64, groups=4): 0.01}
    model = Roofline.fit({**blocks, Shape("cache", 8, 64, 64, groups=8): 0.02})
    again = from_json(json.loads(json.dumps(model.to_json())))
    assert isinstance(again, Roofline)
    assert np.array_equal(again.predict(_sheet()), model.predict(_sheet()))
    assert (again.margin, again.report) == (model.margin, model.report)


def test_judged_on_networks_it_reports_about_them() -> None:
    model = Roofline.fit(_blocks())
    judged = model.judged_on(_sheet(), 1.2 * model.predict(_sheet()))
    assert judged.report.measured == 3
    assert judged.report.mape == pytest.approx(1 - 1 / 1.2)
    assert judged.margin == pytest.approx(0.2)


def test_without_a_session_or_enough_blocks_there_is_no_roofline() -> None:
    blocks = _blocks()
    few = {shape: blocks[shape] for shape in list(blocks)[:5]}
    with pytest.raises(UserError, match="at least 5 blocks"):
        Roofline.fit(few)
    del blocks[Shape("session")]
    with pytest.raises(UserError, match="lack the session"):
        Roofline.fit(blocks)
