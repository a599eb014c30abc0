"""Energy by hand: arithmetic by width, weights once, activations within and beyond the buffer."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from stillhouse.core.cost.energy import RELATIVE, EnergyTable, energy
from stillhouse.core.cost.sheet import Operator, OperatorSheet
from stillhouse.core.errors import UserError

PLAIN = EnergyTable(
    unit="joules",
    source="round numbers",
    mac={8: 1.0, 32: 10.0},
    register=0.0,
    buffer=0.5,
    dram=100.0,
    buffer_bytes=1000.0,
)


def layer(**cells: Any) -> Operator:
    """10 positions of 4 features to 6: 240 MACs, 24 weights, 100 activations."""
    return Operator("layer", "linear", "all", {"inputs": 4, "outputs": 6, "positions": 10, **cells})


def test_arithmetic_weights_and_activations_are_paid_for_where_they_happen() -> None:
    within = 240 * 10 + 24 * 4 * 100 + 100 * 4 * 0.5
    assert energy(OperatorSheet(1, (layer(),)), PLAIN).tolist() == [within]


def test_activations_beyond_the_buffer_go_to_memory() -> None:
    small = replace(PLAIN, buffer_bytes=300)
    beyond = 240 * 10 + (24 * 4 + 100) * 100 + 300 * 0.5
    assert energy(OperatorSheet(1, (layer(),)), small).tolist() == [beyond]


def test_every_candidate_has_its_own_bits_and_shapes() -> None:
    bits = np.array([8.0, 32.0, 8.0])
    cells = {"weight_bits": bits, "activation_bits": bits, "active": np.array([1.0, 1.0, 0.0])}
    narrow = 240 * 1 + 24 * 100 + 100 * 0.5
    wide = 240 * 10 + 24 * 4 * 100 + 100 * 4 * 0.5
    found = energy(OperatorSheet(3, (layer(**cells),)), PLAIN)
    assert found == pytest.approx([narrow, wide, 0.0])


def test_operands_in_registers_are_four_accesses_of_their_width() -> None:
    table = replace(PLAIN, register=0.25)
    assert table.mac_price(32) == 10 + 4 * 4 * 0.25
    assert table.mac_price(8) == 1 + 4 * 1 * 0.25


def test_a_width_without_a_price_costs_what_the_next_wider_one_does() -> None:
    assert PLAIN.mac_price(4) == PLAIN.mac_price(8)
    assert PLAIN.mac_price(16) == PLAIN.mac_price(32)
    with pytest.raises(ValueError, match="64-bit operation, the widest has 32"):
        PLAIN.mac_price(64)


def test_what_few_samples_reach_costs_its_share() -> None:
    whole = energy(OperatorSheet(1, (layer(),)), PLAIN)
    assert energy(OperatorSheet(1, (layer(probability=0.25),)), PLAIN) == pytest.approx(whole / 4)


def test_rows_add_up() -> None:
    norm = Operator("norm", "norm", "all", {"outputs": 6, "positions": 10, "bias": 1})
    parts = [energy(OperatorSheet(1, (row,)), PLAIN)[0] for row in (layer(), norm)]
    assert energy(OperatorSheet(1, (layer(), norm)), PLAIN).tolist() == [sum(parts)]


def test_fewer_bits_never_cost_more() -> None:
    rows = [layer(weight_bits=bits, activation_bits=bits) for bits in (1, 2, 4, 8, 16, 32)]
    costs = [energy(OperatorSheet(1, (row,)))[0] for row in rows]
    assert costs == sorted(costs)
    assert costs[3] < costs[4] < costs[5]


def test_the_default_unit_is_a_32_bit_multiply_accumulate() -> None:
    assert RELATIVE.unit == "relative"
    assert RELATIVE.mac[32] == 1.0
    # Horowitz: (0.2 + 0.03) pJ at 8 bits, (3.7 + 0.9) pJ at 32.
    assert RELATIVE.mac[8] == pytest.approx(0.05)
    # Eyeriss: a word from DRAM is 200 MACs, from the buffer 6.
    assert (4 * RELATIVE.dram, 4 * RELATIVE.buffer, 4 * RELATIVE.register) == (200, 6, 1)


def test_joules_become_relative_by_the_devices_own_multiply_accumulate() -> None:
    sheet = OperatorSheet(1, (layer(),))
    relative = PLAIN.relative()
    assert (relative.unit, relative.mac[32]) == ("relative", 1.0)
    assert energy(sheet, relative) == pytest.approx(energy(sheet, PLAIN) / 10)


def test_a_table_survives_json() -> None:
    for table in (PLAIN, RELATIVE):
        assert EnergyTable.from_json(json.loads(json.dumps(table.to_json()))) == table


def _without(key: str) -> Callable[[dict[str, Any]], None]:
    return lambda raw: raw.pop(key)


def _with(key: str, value: object) -> Callable[[dict[str, Any]], None]:
    return lambda raw: raw.update({key: value})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_with("unit", "watts"), 'unit: expected "relative" or "joules"; got \'watts\''),
        (_with("source", " "), "source: expected where the numbers are from"),
        (_without("byte"), "the table lacks the key 'byte'"),
        (_with("byte", {"register": 0, "bufer": 1, "dram": 1}), "did you mean 'buffer'"),
        (_with("byte", {"register": 0, "buffer": -1, "dram": 1}), "buffer: expected a finite"),
        (_with("byte", [1, 2, 3]), "byte: expected an object with register, buffer, dram"),
        (_with("mac", {"8": 1.0}), "mac: expected a price at 32 bits; got [8]"),
        (_with("mac", {"x": 1.0}), "mac: expected prices by bits"),
        (_with("mac", {"32": True}), "mac, 32 bits: expected a finite price above 0; got True"),
        (_with("mac", {"32": float("nan")}), "mac, 32 bits: expected a finite price"),
        (_with("buffer_bytes", "100 kB"), "buffer_bytes: expected a finite number"),
    ],
)
def test_what_is_no_table_is_refused_with_what_was_expected(
    change: Callable[[dict[str, Any]], None], message: str
) -> None:
    raw = PLAIN.to_json()
    change(raw)
    with pytest.raises(UserError) as refused:
        EnergyTable.from_json(raw)
    assert str(refused.value).startswith("energy table: ")
    assert message in str(refused.value)


def test_what_is_no_object_is_no_table() -> None:
    with pytest.raises(UserError, match="the table: expected an object with unit, source"):
        EnergyTable.from_json([])
