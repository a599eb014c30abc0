"""Terms of the operator sheet, against torch's own counts and by hand."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from stillhouse.core.cost import terms
from stillhouse.core.cost.kinds import KINDS
from stillhouse.core.cost.sheet import Operator, OperatorKind, OperatorSheet

META = torch.zeros(5, 6, device="meta")
LINEAR = Operator("fc", "linear", "head", {"inputs": 6, "outputs": 4, "positions": 5, "bias": 1})


def one(row: Operator) -> OperatorSheet:
    return OperatorSheet(1, (row,))


def weights(module: nn.Module) -> int:
    return sum(w.numel() for w in module.parameters())


def multiply_accumulates(module: nn.Module, *inputs: torch.Tensor) -> float:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(*inputs)
    return counter.get_total_flops() / 2


@pytest.mark.parametrize("bias", [True, False])
def test_linear_counts_as_torch_does(bias: bool) -> None:
    module = nn.Linear(6, 4, bias=bias)
    cells = {"inputs": 6, "outputs": 4, "positions": 5, "bias": float(bias)}
    sheet = one(Operator("fc", "linear", "head", cells))
    assert terms.parameters(sheet) == weights(module)
    assert terms.macs(sheet) == multiply_accumulates(module, torch.zeros(5, 6))


@pytest.mark.parametrize("groups", [1, 2, 8])
def test_convolution_counts_as_torch_does(groups: int) -> None:
    module = nn.Conv1d(8, 8, 3, padding=1, groups=groups)
    cells = {
        "inputs": 8, "outputs": 8, "kernel": 3, "groups": groups, "positions": 7, "bias": 1,
    }  # fmt: skip
    sheet = one(Operator("conv", "conv1d", "front", cells))
    assert terms.parameters(sheet) == weights(module)
    assert terms.macs(sheet) == multiply_accumulates(module, torch.zeros(1, 8, 7))


@pytest.mark.parametrize(("module", "gates"), [(nn.LSTM(6, 4), 4), (nn.GRU(6, 4), 3)])
def test_recurrent_parameters_count_as_torch_does(module: nn.Module, gates: int) -> None:
    cells = {"inputs": 6, "outputs": 4, "groups": gates, "positions": 5, "bias": 1}
    sheet = one(Operator("rnn", "recurrent", "rnn", cells))
    assert terms.parameters(sheet) == weights(module)
    assert terms.macs(sheet) == 5 * gates * 4 * (6 + 4)
    # torch writes out the steps of a recurrence on the meta device only.
    assert terms.macs(sheet) == multiply_accumulates(module.to("meta"), META)


@pytest.mark.parametrize("groups", [1, 4])
@pytest.mark.parametrize("stride", [1, 2])
def test_convolution_over_two_dimensions_counts_as_torch_does(groups: int, stride: int) -> None:
    module = nn.Conv2d(8, 12, (3, 5), stride, padding=(1, 2), groups=groups)
    x = torch.zeros(1, 8, 10, 14)
    with torch.no_grad():
        out = module(x)
    cells = {
        "inputs": 8, "outputs": 12, "kernel": 15, "groups": groups, "bias": 1,
        "positions": out[0, 0].numel(), "read_positions": 140,
    }  # fmt: skip
    sheet = one(Operator("conv", "conv2d", "convolution", cells))
    assert terms.parameters(sheet) == weights(module)
    assert terms.macs(sheet) == multiply_accumulates(module, x)
    assert terms.peak_activation_bytes(sheet) == x.nbytes + out.nbytes
    assert terms.bytes_touched(sheet) == 4 * weights(module) + x.nbytes + out.nbytes


def test_a_stride_is_read_where_only_some_candidates_have_one() -> None:
    cells = {"inputs": 3, "outputs": 2, "positions": 5, "read_positions": np.array([0.0, 10.0])}
    peak = terms.peak_activation_bytes(OperatorSheet(2, (Operator("c", "conv1d", "g", cells),)))
    assert np.array_equal(peak, [4 * (15 + 10), 4 * (30 + 10)])


def test_norm_table_product_and_elementwise_by_hand() -> None:
    rows = {
        "norm": Operator("n", "norm", "g", {"outputs": 8, "positions": 5, "bias": 1}),
        "table": Operator("t", "table", "g", {"inputs": 9, "outputs": 8, "positions": 5}),
        "matmul": Operator(
            "m", "matmul", "g", {"inputs": 4, "outputs": 5, "positions": 5, "groups": 2}
        ),
        "elementwise": Operator("e", "elementwise", "g", {"outputs": 8, "positions": 5}),
    }
    counted = {
        kind: (terms.parameters(one(r))[0], terms.macs(one(r))[0], terms.bytes_touched(one(r))[0])
        for kind, r in rows.items()
    }
    assert counted == {
        "norm": (16, 0, 4 * (16 + 40 + 40)),
        "table": (72, 0, 4 * (40 + 40)),
        "matmul": (0, 2 * 5 * 4 * 5, 4 * 2 * (20 + 20 + 25)),
        "elementwise": (0, 0, 4 * (40 + 40)),
    }


def test_every_kind_has_formulas() -> None:
    assert set(KINDS) == set(get_args(OperatorKind))


def test_bits_and_density_shrink_weights_but_not_biases() -> None:
    sheet = one(LINEAR).map(lambda row: {"weight_bits": 8, "density": 0.5})
    assert terms.weight_bytes(one(LINEAR)) == 4 * (24 + 4)
    assert terms.weight_bytes(sheet) == 0.5 * 24 + 24 / 8 + 4 * 4
    assert terms.parameters(sheet) == 28


def test_what_is_not_zero_is_stored_whole_beside_a_bit_an_entry_or_all_if_that_is_less() -> None:
    def stored(density: float) -> float:
        sheet = one(LINEAR).map(lambda row: {"density": density})
        return float(terms.weight_bytes(sheet)[0]) - 4 * 4

    assert stored(7 / 24) == 4 * 7 + 3
    assert stored(0.3) == 4 * 7 + 3
    assert stored(23 / 24) == 4 * 23 + 3
    assert stored(1) == 4 * 24
    assert stored(1 - 1e-9) == 4 * 24


@pytest.mark.parametrize(
    ("bits", "weight", "bias"), [(1, 1, 4), (5, 1, 4), (8, 1, 4), (9, 2, 2), (16, 2, 2), (32, 4, 4)]
)
def test_an_entry_takes_the_smallest_type_that_holds_it(bits: int, weight: int, bias: int) -> None:
    sheet = one(LINEAR).map(lambda row: {"weight_bits": bits})
    assert terms.weight_bytes(sheet) == 24 * weight + 4 * bias


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_packed_rows_are_padded_to_whole_bytes_as_numpy_packs_them(bits: int) -> None:
    drawn = np.random.default_rng(0).integers(0, 2, (5, 13 * bits), np.uint8)
    cells = {"inputs": 13, "outputs": 5, "weight_bits": bits, "packed": 1, "bias": 1}
    assert terms.weight_bytes(one(Operator("fc", "linear", "head", cells))) == (
        np.packbits(drawn, axis=1).nbytes + 5 * 4
    )


def test_packed_kinds_pack_the_rows_that_they_store() -> None:
    packed = {"packed": 1, "weight_bits": 1}
    rows = {
        "conv1d": {"inputs": 6, "outputs": 4, "kernel": 5, "groups": 2},
        "recurrent": {"inputs": 9, "outputs": 4, "groups": 3},
        "table": {"inputs": 7, "outputs": 10, "positions": 2},
        "norm": {"outputs": 17},
    }
    stored = {
        kind: terms.weight_bytes(one(Operator("x", kind, "g", {**cells, **packed})))[0]  # type: ignore[arg-type]
        for kind, cells in rows.items()
    }
    assert stored == {"conv1d": 4 * 2, "recurrent": 12 * (2 + 1), "table": 7 * 2, "norm": 3}
    table = Operator("x", "table", "g", {**rows["table"], **packed})
    assert terms.bytes_touched(one(table)) == 2 * 2 + 4 * 20


def test_packing_is_a_candidates_own_choice() -> None:
    cells = {"inputs": 9, "outputs": 4, "weight_bits": 1, "packed": np.array([0.0, 1.0])}
    stored = terms.weight_bytes(OperatorSheet(2, (Operator("fc", "linear", "g", cells),)))
    assert np.array_equal(stored, [36, 4 * 2])


def test_density_leaves_out_entries_of_packed_rows_too() -> None:
    cells = {"inputs": 16, "outputs": 3, "weight_bits": 4, "packed": 1, "density": 0.5}
    assert terms.weight_bytes(one(Operator("fc", "linear", "g", cells))) == 3 * 4


def test_activations_take_their_own_bits() -> None:
    narrow = one(LINEAR).map(lambda row: {"activation_bits": 8, "held": 7})
    assert terms.peak_activation_bytes(narrow) == 30 + 20 + 7
    assert terms.bytes_touched(narrow) == 4 * 28 + 50


def test_constants_are_stored_and_multiplied_but_are_no_parameters() -> None:
    fixed = one(LINEAR).map(lambda row: {"fixed": 1})
    assert terms.parameters(fixed) == 0
    for term in (terms.weight_bytes, terms.macs, terms.bytes_touched):
        assert term(fixed) == term(one(LINEAR)) > 0


def test_weights_stored_with_another_row_are_read_but_not_stored_again() -> None:
    tied = one(LINEAR).map(lambda row: {"shared": 1})
    assert terms.parameters(tied) == terms.weight_bytes(tied) == 0
    assert terms.bytes_touched(tied) == terms.bytes_touched(one(LINEAR))
    assert terms.macs(tied) == terms.macs(one(LINEAR))


def test_a_transfer_sends_activations_and_costs_nothing_else() -> None:
    cells = {"positions": 5, "outputs": 6, "activation_bits": 16, "probability": 0.25}
    sheet = one(Operator("uplink", "transfer", "transfer", cells))
    assert terms.transferred_bytes(sheet) == 5 * 6 * 2 / 4
    assert {n: v[0] for n, v in terms.totals(sheet).items() if v[0]} == {"transferred_bytes": 15}
    assert terms.transferred_bytes(one(LINEAR)) == 0


def test_a_table_that_another_row_reads_is_stored_and_does_not_run() -> None:
    sheet = one(Operator("t", "table", "embedding", {"inputs": 9, "outputs": 8, "positions": 0}))
    assert terms.parameters(sheet) == 72
    assert terms.operators(sheet) == terms.bytes_touched(sheet) == 0


def test_multiplications_are_split_by_the_wider_operand() -> None:
    rows = (
        Operator("a", "linear", "g", {"inputs": 2, "outputs": 3, "weight_bits": 4}),
        Operator(
            "b", "linear", "g",
            {
                "inputs": 2, "outputs": 5, "weight_bits": np.array([1.0, 8.0]),
                "activation_bits": 4, "probability": 0.5,
            },
        ),
        Operator("c", "matmul", "g", {"inputs": 7, "outputs": 1, "activation_bits": 8}),
        Operator("d", "norm", "g", {"outputs": 7, "weight_bits": 16}),
    )  # fmt: skip
    split = terms.macs_by_bits(OperatorSheet(2, rows))
    assert {bits: count.tolist() for bits, count in split.items()} == {
        4: [5, 0],
        8: [7, 5 + 7],
        32: [6, 6],
    }
    assert np.array_equal(sum(split.values()), terms.macs(OperatorSheet(2, rows)))


def test_running_costs_are_expected_values_and_stored_ones_are_not() -> None:
    sure, half = one(LINEAR), one(LINEAR).map(lambda row: {"probability": 0.5})
    for term in (terms.macs, terms.operators, terms.bytes_touched):
        assert term(half) == term(sure) / 2 > 0
    for term in (terms.parameters, terms.weight_bytes, terms.peak_activation_bytes):
        assert term(half) == term(sure) > 0


def test_inactive_rows_cost_nothing_for_the_candidates_that_lack_them() -> None:
    sheet = OperatorSheet(2, (LINEAR,)).map(lambda row: {"active": np.array([1.0, 0.0])})
    for term in (
        terms.parameters, terms.macs, terms.weight_bytes, terms.operators,
        terms.bytes_touched, terms.peak_activation_bytes,
    ):  # fmt: skip
        present, absent = term(sheet)
        assert present > 0
        assert absent == 0


def test_groups_add_up_to_all_macs() -> None:
    other = Operator("x", "linear", "body", {"inputs": np.array([3.0, 5.0]), "outputs": 2})
    sheet = OperatorSheet(2, (LINEAR, other, LINEAR))
    groups = terms.macs_by_group(sheet)
    assert list(groups) == ["head", "body"]
    assert np.array_equal(groups["body"], [6, 10])
    assert np.array_equal(sum(groups.values()), terms.macs(sheet))
    stored = terms.parameters_by_group(sheet)
    assert {name: count.tolist() for name, count in stored.items()} == {
        "head": [56, 56],
        "body": [6, 10],
    }


def test_several_terms_in_one_pass_are_the_terms_one_by_one() -> None:
    other = Operator("x", "matmul", "body", {"inputs": np.array([3.0, 5.0]), "outputs": 2})
    sheet = OperatorSheet(2, (LINEAR, other))
    together = terms.totals(sheet)
    assert list(together) == list(terms.NAMES)
    for name, values in together.items():
        assert np.array_equal(values, getattr(terms, name)(sheet))


def test_some_candidates_of_a_sheet_cost_what_they_cost_among_all() -> None:
    width = Operator("x", "linear", "body", {"inputs": np.array([3.0, 5.0, 7.0]), "outputs": 2})
    sheet = OperatorSheet(3, (LINEAR, width))
    for which in (slice(1, None), np.array([2, 0, 2]), np.empty(0, np.int64)):
        part = sheet.take(which)
        assert part.candidates == len(terms.macs(sheet)[which])
        assert np.array_equal(terms.macs(part), terms.macs(sheet)[which])


def test_peak_is_the_largest_moment_of_one_candidate_not_of_all() -> None:
    wide = Operator("w", "linear", "g", {"inputs": 2, "outputs": np.array([30.0, 1.0])})
    held = Operator("h", "linear", "g", {"inputs": 2, "outputs": 3, "held": np.array([0.0, 9.0])})
    peak = terms.peak_activation_bytes(OperatorSheet(2, (wide, held)))
    assert np.array_equal(peak, [4 * 32, 4 * 14])


def test_terms_are_float64_over_candidates_even_for_an_empty_sheet() -> None:
    for term in (terms.parameters, terms.macs, terms.peak_activation_bytes):
        assert term(OperatorSheet(3)).dtype == np.float64
        assert np.array_equal(term(OperatorSheet(3)), [0, 0, 0])


def test_activations_that_are_rounded_inside_an_operator_are_kept_as_they_come() -> None:
    cells = {**LINEAR.cells, "weight_bits": 8, "activation_bits": 8}
    inside = one(Operator("fc", "linear", "head", {**cells, "kept_bits": 32}))
    assert terms.peak_activation_bytes(inside) == terms.peak_activation_bytes(one(LINEAR))
    assert terms.macs_by_bits(inside).keys() == {8}
    kept = np.array([0.0, 8.0, 32.0])
    three = OperatorSheet(3, (Operator("fc", "linear", "head", {**cells, "kept_bits": kept}),))
    assert terms.peak_activation_bytes(three).tolist() == [50, 50, 200]


def test_scales_of_rounded_weights_are_stored_beside_them() -> None:
    cells = {**LINEAR.cells, "weight_bits": 8}
    plain, scaled = (
        one(Operator("fc", "linear", "head", {**cells, "scales": scales})) for scales in (0, 5)
    )
    assert terms.weight_bytes(scaled) == terms.weight_bytes(plain) + 20
    assert terms.parameters(scaled) == terms.parameters(plain)
