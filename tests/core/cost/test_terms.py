"""Terms of the operator sheet, against torch's own counts and by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from stillhouse.core.cost import terms
from stillhouse.core.cost.kinds import KINDS
from stillhouse.core.cost.sheet import Operator, OperatorSheet

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
    assert set(KINDS) == {
        "linear", "conv1d", "matmul", "norm", "table", "elementwise", "recurrent",
    }  # fmt: skip


def test_bits_and_density_shrink_weights_but_not_biases() -> None:
    sheet = one(LINEAR).map(lambda row: {"weight_bits": 8, "density": 0.5})
    assert terms.weight_bytes(one(LINEAR)) == 4 * (24 + 4)
    assert terms.weight_bytes(sheet) == 0.5 * 24 + 4 * 4
    assert terms.parameters(sheet) == 28


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


def test_peak_is_the_largest_moment_of_one_candidate_not_of_all() -> None:
    wide = Operator("w", "linear", "g", {"inputs": 2, "outputs": np.array([30.0, 1.0])})
    held = Operator("h", "linear", "g", {"inputs": 2, "outputs": 3, "held": np.array([0.0, 9.0])})
    peak = terms.peak_activation_bytes(OperatorSheet(2, (wide, held)))
    assert np.array_equal(peak, [4 * 32, 4 * 14])


def test_terms_are_float64_over_candidates_even_for_an_empty_sheet() -> None:
    for term in (terms.parameters, terms.macs, terms.peak_activation_bytes):
        assert term(OperatorSheet(3)).dtype == np.float64
        assert np.array_equal(term(OperatorSheet(3)), [0, 0, 0])
