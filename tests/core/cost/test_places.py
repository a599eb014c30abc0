"""A network cut in two: what the device, the link and the server take, by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, final

import numpy as np
import pytest
from numpy.typing import NDArray

from stillhouse.core.cost.energy import energy
from stillhouse.core.cost.latency import FitReport, LatencyModel
from stillhouse.core.cost.limits import Limit
from stillhouse.core.cost.model import RecipeCosts, counted
from stillhouse.core.cost.places import DEVICE, SERVER, Link, is_split, network_ms, placed
from stillhouse.core.cost.sheet import Operator, OperatorSheet
from stillhouse.core.cost.terms import macs
from stillhouse.core.errors import UserError

Array = NDArray[np.float64]

CODES = np.array([[0.0], [1.0], [2.0], [3.0]])
"""All on the server, two ways to split, all on the device."""
LINK = Link(bytes_per_s=1000, round_trip_ms=2.0)


@final
class PerMac(LatencyModel):
    """A constant and `ms` for every multiply-accumulate to the power `power`."""

    kind = "per-mac"
    report: ClassVar[FitReport] = FitReport(5, 0.0, 1.0, 1.0, 1.0)

    def __init__(
        self, constant: float = 0.0, ms: float = 1.0, power: float = 1.0, margin: float = 0.0
    ) -> None:
        self.constant, self.ms, self.power, self.margin = constant, ms, power, margin

    def predict(self, sheet: OperatorSheet) -> Array:
        return self.constant + self.ms * macs(sheet) ** self.power

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind}

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> PerMac:
        return cls()


def linear(name: str, count: float | Array, **cells: Any) -> Operator:
    """So many multiply-accumulates, weights and inputs, and one output."""
    return Operator(name, "linear", "all", {"inputs": count, "outputs": 1, **cells})


def split(codes: Array) -> OperatorSheet:
    """Three layers of 10, 20 and 30 MACs, of which the first `code` ones run on the device.

    A candidate that splits sends 5 activations of 8 bits.
    """
    kept = codes[:, 0]
    layers = [
        linear(f"layer.{i}", 10.0 * (i + 1), place=(kept <= i).astype(float)) for i in range(3)
    ]
    sent = {"positions": 5, "outputs": 1, "activation_bits": 8, "active": (kept < 3).astype(float)}
    return OperatorSheet(len(codes), (*layers, Operator("send", "transfer", "link", sent)))


def test_each_place_has_its_own_rows_in_each_candidate() -> None:
    sheet = split(CODES)
    assert macs(placed(sheet, DEVICE)).tolist() == [0, 10, 30, 60]
    assert macs(placed(sheet, SERVER)).tolist() == [60, 50, 30, 0]
    assert is_split(sheet)


def test_a_network_in_one_place_is_all_on_the_device() -> None:
    sheet = OperatorSheet(1, (linear("only", 10.0),))
    assert not is_split(sheet)
    assert placed(sheet, DEVICE) is sheet
    assert not placed(sheet, SERVER).rows


def test_the_link_takes_all_bytes_and_one_round_trip() -> None:
    sheet = split(CODES)
    assert network_ms(sheet, LINK).tolist() == [7, 7, 7, 0]
    twice = sheet.with_rows(Operator("back", "transfer", "link", {"outputs": 1}))
    assert network_ms(twice, LINK).tolist() == [11, 11, 11, 6]


def test_the_link_is_paid_for_by_the_samples_that_cross_it() -> None:
    sheet = split(CODES).map(lambda row: {"probability": 0.25} if row.kind == "transfer" else None)
    assert network_ms(sheet, LINK).tolist() == [7 / 4, 7 / 4, 7 / 4, 0]


def test_costs_of_a_split_recipe_are_those_of_its_three_parts() -> None:
    device, server = PerMac(constant=1.0, margin=0.1), PerMac(constant=0.5, ms=0.1, margin=0.2)
    costs = RecipeCosts(split, latency=device, server_latency=server, link=LINK)
    table = costs.table(CODES)
    assert table["device_ms"].tolist() == [0, 11, 31, 61]
    assert table["network_ms"].tolist() == [7, 7, 7, 0]
    assert table["server_ms"] == pytest.approx([6.5, 5.5, 3.5, 0])
    assert table["latency_ms"] == pytest.approx([13.5, 23.5, 41.5, 61])
    assert table["latency_p95_ms"].tolist() == table["latency_ms"].tolist()


def test_what_is_stored_or_used_is_the_devices_and_arithmetic_is_everyones() -> None:
    table = RecipeCosts(split).table(CODES)
    assert table["parameters"].tolist() == [0, 10, 30, 60]
    assert table["size_bytes"].tolist() == [0, 40, 120, 240]
    assert table["memory_kb"] == pytest.approx([0, 0.044, 0.084, 0.124])
    assert table["energy"].tolist() == energy(placed(split(CODES), DEVICE)).tolist()
    assert table["macs"].tolist() == [60, 60, 60, 60]
    assert counted(split(CODES))["parameters"].tolist() == [0, 10, 30, 60]


def test_hard_samples_alone_go_to_the_server() -> None:
    def hard(codes: Array) -> OperatorSheet:
        share = 0.2 * np.ones(len(codes))
        return split(codes).map(
            lambda row: {
                "probability": np.where(
                    np.equal(row["place"], 1) | (row.kind == "transfer"), share, 1.0
                )
            }
        )

    models = {"latency": PerMac(1.0), "server_latency": PerMac(0.5, 0.1), "link": LINK}
    table = RecipeCosts(hard, **models).table(CODES[1:])
    assert table["device_ms"] == pytest.approx([11, 31, 61])
    assert table["server_ms"] == pytest.approx([0.2 * 5.5, 0.2 * 3.5, 0])
    assert table["latency_ms"] == pytest.approx([11 + 0.2 * 12.5, 31 + 0.2 * 10.5, 61])
    assert table["latency_p95_ms"] == pytest.approx([23.5, 41.5, 61])


def test_each_latency_is_judged_with_the_margin_of_what_predicts_it() -> None:
    names = ("latency_ms", "latency_p95_ms", "device_ms", "network_ms", "server_ms", "macs")
    limits = [Limit(name, "<=", 100) for name in names]
    models = {"latency": PerMac(margin=0.1), "server_latency": PerMac(margin=0.2), "link": LINK}
    found = {limit.cost: limit.margin for limit in RecipeCosts(split, limits, **models).limits}
    assert list(found.values()) == [0.2, 0.2, 0.1, 0.0, 0.2, 0.0]


def test_a_server_or_a_link_that_nothing_is_known_of_is_refused() -> None:
    table = RecipeCosts(split, latency=PerMac()).table(CODES)
    with pytest.raises(UserError, match="sends activations over a link, and nothing tells"):
        table["latency_ms"]
    with pytest.raises(UserError, match="runs a part on a server, and nothing tells"):
        table["server_ms"]
    assert table["device_ms"].tolist() == [0, 10, 30, 60]


@pytest.mark.parametrize("given", [(0, 1), (-1, 1), (float("inf"), 1), (1, -1), (1, float("nan"))])
def test_what_is_no_link_is_refused(given: tuple[float, float]) -> None:
    with pytest.raises(UserError, match="link: expected"):
        Link(*given)
