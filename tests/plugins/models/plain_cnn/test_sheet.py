"""The sheet's counts against networks of every width: every equality is exact."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from stillhouse.core.cost import terms
from stillhouse.core.cost.counting import module_sheet
from stillhouse.core.cost.file_size import SizeModel
from stillhouse.core.cost.sheet import GROUPS
from stillhouse.core.errors import UserError
from stillhouse.plugins.models.info import PlainCnnParams
from stillhouse.plugins.models.plain_cnn.family import PlainCnnFamily
from stillhouse.plugins.models.plain_cnn.network import PlainCnn, skeleton

FAMILY = PlainCnnFamily()


def every_width(full: Any) -> list[Any]:
    return [FAMILY.subnet(full, {"width": width}) for width in range(1, full["width"] + 2)]


def empty(structure: Any) -> PlainCnn:
    """A network without weights; on the CPU, where torch counts faster than on meta."""
    return skeleton(structure).to_empty(device="cpu").eval()


def test_every_cost_is_that_of_the_operators_torch_runs(full: Any) -> None:
    drawn = every_width(full)
    found = terms.totals(FAMILY.sheet(full, FAMILY.columns(drawn)))
    example = torch.zeros(1, *full["input_shape"])
    counted = terms.totals(module_sheet([empty(structure) for structure in drawn], example))
    for name, values in counted.items():
        assert np.array_equal(found[name], values), name


def test_parameters_and_macs_are_those_of_torch(full: Any) -> None:
    drawn = every_width(full)
    sheet = FAMILY.sheet(full, FAMILY.columns(drawn))
    stored, multiplied = [], [0.0]
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        for structure in drawn:
            module = empty(structure)
            module(torch.zeros(1, *full["input_shape"]))
            stored.append(sum(w.numel() for w in module.parameters()))
            multiplied.append(counter.get_total_flops() / 2)
    assert np.array_equal(terms.parameters(sheet), stored)
    assert np.array_equal(terms.macs(sheet), np.diff(multiplied))


def test_an_eager_run_keeps_alive_what_the_sheet_says(full: Any, lives: Any) -> None:
    sheet, module = FAMILY.sheet(full, {}), empty(full)
    example = torch.zeros(1, *full["input_shape"])
    with torch.no_grad(), lives(module, example) as life:
        module(example)
    assert terms.peak_activation_bytes(sheet) == life.peak()


def test_the_width_comes_from_the_full_structure_without_a_column(full: Any) -> None:
    found, expected = (
        terms.totals(FAMILY.sheet(full, columns)) for columns in ({}, {"width": np.array([6])})
    )
    for name, values in expected.items():
        assert np.array_equal(found[name], values), name


def test_no_candidates_give_an_empty_cost(full: Any) -> None:
    assert terms.macs(FAMILY.sheet(full, {"width": np.empty(0)})).shape == (0,)


def test_columns_that_describe_no_network_are_refused(full: Any) -> None:
    with pytest.raises(UserError, match="no gene 'widht'; its gene is width"):
        FAMILY.sheet(full, {"widht": np.array([1.0])})


def test_costs_at_another_length_are_those_of_the_network_built_for_it(
    full_structure: Callable[[int], Any],
) -> None:
    full = full_structure(2)
    longer = {**full, "input_shape": [23, 5]}
    found = terms.totals(FAMILY.sheet(longer, FAMILY.columns([full])))
    counted = terms.totals(module_sheet([empty(longer)], torch.zeros(1, 23, 5)))
    for name, values in counted.items():
        assert np.array_equal(found[name], values), name


def test_macs_are_grouped_by_what_they_are_spent_on() -> None:
    full = FAMILY.structure(PlainCnnParams(size=8, width=2), (3, 16, 16), 5)
    sheet = FAMILY.sheet(full, {})
    assert {row.group for row in sheet.rows} <= set(GROUPS)
    groups = terms.macs_by_group(sheet)
    areas = [256 * (6 + 4), 64 * (8 + 16), 16 * (32 + 64), 4 * (128 + 256)]
    assert groups["convolution"] == 9 * sum(areas)
    assert groups["head"] == 16 * 8 + 8 * 5


@pytest.mark.parametrize("size", [4, pytest.param(8, marks=pytest.mark.slow)])
def test_the_file_holds_folded_norms_and_its_size_is_fitted(
    full_structure: Callable[[int], Any], size: int
) -> None:
    onnx = pytest.importorskip("onnx")
    from stillhouse.plugins.targets.exporters import exported_graph
    from stillhouse.plugins.targets.tidy import tidied

    full = full_structure(size)
    drawn, example = every_width(full), torch.zeros(1, *full["input_shape"])
    held, whole = [], []
    for structure in drawn:
        module = FAMILY.build(structure, torch.Generator().manual_seed(0)).eval()
        for seed, weight in enumerate(module.parameters()):
            # Equal tensors would be stored once.
            nn.init.normal_(weight, generator=torch.Generator().manual_seed(seed))
        graph = tidied(exported_graph(module, example, "auto", 23)[0], 23)
        assert not [node for node in graph.graph.node if node.op_type == "BatchNormalization"]
        arrays = [onnx.numpy_helper.to_array(tensor) for tensor in graph.graph.initializer]
        held.append(sum(a.nbytes for a in arrays if a.dtype == np.float32))
        whole.append(len(graph.SerializeToString()))
        norms = [part for part in module.modules() if isinstance(part, nn.BatchNorm2d)]
        weights = sum(w.numel() for w in module.parameters())
        # A norm's scale goes into the convolution's weights, its shift becomes their bias.
        assert held[-1] == 4 * (weights - sum(norm.num_features for norm in norms))
    sheet = FAMILY.sheet(full, FAMILY.columns(drawn))
    assert SizeModel.fit(sheet, np.array(whole, np.float64)).residual_bytes < 32
