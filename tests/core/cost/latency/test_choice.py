from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from stillhouse.core.cost.latency import FittedLatency, LatencyModel, chosen
from stillhouse.core.cost.latency.roofline import Roofline
from stillhouse.core.cost.latency.shapes import SESSION, Shape, cells_of, shapes_of
from stillhouse.core.cost.latency.table import BlockTable
from stillhouse.core.cost.latency.work import work
from stillhouse.core.cost.sheet import Operator, OperatorSheet
from stillhouse.core.errors import UserError

MakeSheet = Callable[..., OperatorSheet]
MakeMs = Callable[..., np.ndarray]


@pytest.fixture
def profiled(layered: MakeSheet) -> Sequence[LatencyModel]:
    """Roofline and table from the single operators of the device of `device_ms`, 20 % too dear."""
    blocks = {Shape(SESSION): 0.012}
    for shape in shapes_of(layered(30)):
        macs, _ = work(shape.kind, cells_of([shape]))
        blocks[shape] = 1.2 * (0.002 + 3e-8 * float(np.sum(macs)))
    return Roofline.fit(blocks), BlockTable.fit(blocks)


def test_auto_takes_the_model_that_errs_least_and_says_so(
    profiled: Sequence[LatencyModel], layered: MakeSheet, device_ms: MakeMs
) -> None:
    sheet = layered(40, seed=3)
    choice = chosen(profiled, sheet, device_ms(sheet))
    assert set(choice.reports) == {
        "fitted", "table", "roofline", "adapted table", "adapted roofline",
    }  # fmt: skip
    errors = [report.mape for report in choice.reports.values()]
    assert errors == sorted(errors)
    best = next(iter(choice.reports))
    assert choice.model.report == choice.reports[best]
    assert choice.why.startswith(f"{best}: errs by 0.0 % on 40 networks it had not seen; ")
    assert "table 20.0 %" in choice.why


def test_a_model_that_saw_no_network_is_judged_on_the_measured_ones(
    profiled: Sequence[LatencyModel], layered: MakeSheet, device_ms: MakeMs
) -> None:
    sheet = layered(40, seed=3)
    choice = chosen(profiled, sheet, 1.3 * device_ms(sheet), "roofline")
    assert choice.model.kind == "roofline"
    assert choice.model.margin == pytest.approx(1.3 / 1.2 - 1, abs=0.01)
    assert choice.model.report.measured == 40
    assert profiled[0].report.measured != 40
    assert choice.why == "roofline: named by target.predictor."


def test_without_measured_networks_the_table_is_taken_with_the_margin_it_has(
    profiled: Sequence[LatencyModel], layered: MakeSheet
) -> None:
    choice = chosen(profiled, layered(3), np.empty(0))
    assert choice.model is profiled[1]
    assert choice.reports == {}
    assert choice.why.startswith("table: fewer than 5 networks were measured")
    assert chosen(profiled[:1], layered(3), np.empty(0)).model is profiled[0]


def test_a_model_of_another_device_takes_part_after_adaptation(
    layered: MakeSheet, device_ms: MakeMs
) -> None:
    there = FittedLatency.fit(layered(60), device_ms(layered(60)))
    few = layered(8, seed=2)
    choice = chosen([], few, 5 * device_ms(few, noise=0.05), elsewhere=there)
    assert set(choice.reports) == {"fitted", "adapted from another device"}
    assert next(iter(choice.reports)) == "adapted from another device"
    assert choice.why.endswith("8 measurements guarantee the margin only in 89 of 100 cases.")
    with pytest.raises(UserError, match="another device: needs at least 5 measured networks"):
        chosen([], layered(4), device_ms(layered(4)), elsewhere=there)


def test_a_model_that_lacks_an_operator_is_left_out_by_name(
    profiled: Sequence[LatencyModel], layered: MakeSheet, device_ms: MakeMs
) -> None:
    conv = Operator("conv", "conv1d", "entry", {"inputs": 4, "outputs": 4, "kernel": 3})
    wider = layered(20).with_rows(conv)
    choice = chosen(profiled[:1], wider, device_ms(wider))
    assert list(choice.reports) == ["fitted"]
    assert "roofline left out (no operator of the kind conv1d was measured" in choice.why
    with pytest.raises(ValueError, match="conv1d"):
        chosen(profiled[:1], wider, device_ms(wider), "roofline")
    with pytest.raises(UserError, match=r"no latency model can predict[\s\S]*roofline: no oper"):
        chosen(profiled[:1], wider, np.empty(0))


def test_a_named_model_is_used_though_another_errs_less(
    profiled: Sequence[LatencyModel], layered: MakeSheet, device_ms: MakeMs
) -> None:
    sheet = layered(40, seed=3)
    assert chosen(profiled, sheet, device_ms(sheet), "table").model.kind == "table"
    assert chosen(profiled, sheet, device_ms(sheet), "fitted").model.kind == "fitted"


def test_a_named_model_without_its_measurements_is_a_user_error(
    layered: MakeSheet, device_ms: MakeMs
) -> None:
    with pytest.raises(UserError, match=r"target\.predictor: .* got table"):
        chosen([], layered(10), device_ms(layered(10)), "table")
    with pytest.raises(UserError, match="at least 5 measured candidates"):
        chosen([], layered(3), device_ms(layered(3)), "fitted")
    with pytest.raises(UserError, match="none is at hand"):
        chosen([], layered(3), np.empty(0))
