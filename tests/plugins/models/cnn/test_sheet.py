"""The sheet's counts against random networks: every equality is exact."""

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
from stillhouse.plugins.models.cnn.family import CnnFamily
from stillhouse.plugins.models.cnn.network import Cnn, skeleton

FAMILY = CnnFamily()
Structures = Callable[[str, str], Any]
Configurations = Callable[..., list[dict[str, Any]]]


def structures(full: Any, drawn: list[dict[str, Any]]) -> list[Any]:
    return [FAMILY.subnet(full, configuration) for configuration in drawn]


def empty(structure: Any) -> Cnn:
    """A network without weights; on the CPU, where torch counts four times faster than on meta."""
    return skeleton(structure).to_empty(device="cpu").eval()


@pytest.mark.parametrize("count", [12, pytest.param(34, marks=pytest.mark.slow)])
def test_parameters_and_macs_of_random_subnets_are_exact(
    full: Any, configurations: Configurations, count: int
) -> None:
    drawn = structures(full, configurations(full, count))
    sheet = FAMILY.sheet(full, FAMILY.columns(drawn))
    example = torch.zeros(1, *full["input_shape"])
    stored, multiplied = [], [0.0]
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        for structure in drawn:
            module = empty(structure)
            module(example)
            stored.append(sum(w.numel() for w in module.parameters()))
            multiplied.append(counter.get_total_flops() / 2)
    assert np.array_equal(terms.parameters(sheet), stored)
    assert np.array_equal(terms.weight_bytes(sheet), 4 * np.array(stored))
    assert np.array_equal(terms.macs(sheet), np.diff(multiplied))


def test_every_cost_is_that_of_the_operators_torch_runs(
    full: Any, configurations: Configurations
) -> None:
    drawn = structures(full, configurations(full, 8, seed=1))
    found = terms.totals(FAMILY.sheet(full, FAMILY.columns(drawn)))
    counted = terms.totals(
        module_sheet(
            [empty(structure) for structure in drawn], torch.zeros(1, *full["input_shape"])
        )
    )
    for name, values in counted.items():
        assert np.array_equal(found[name], values), name


def test_genes_as_columns_give_the_same_sheet_as_structures(
    full: Any, configurations: Configurations
) -> None:
    drawn = configurations(full, 30, seed=2)
    columns: dict[str, Any] = {}
    for name in drawn[0]:
        columns[name] = np.full((30, 2) if isinstance(drawn[0][name], list) else 30, np.nan)
        for row, configuration in enumerate(drawn):
            value = configuration[name]
            if isinstance(value, list):
                columns[name][row, : len(value)] = value
            else:
                columns[name][row] = value
    genes = FAMILY.sheet(full, columns)
    plain = FAMILY.sheet(full, FAMILY.columns(structures(full, drawn)))
    for term, values in terms.totals(plain).items():
        assert np.array_equal(terms.totals(genes)[term], values), term


def test_genes_without_a_column_come_from_the_full_structure(full: Any) -> None:
    widths = {"width": np.array([3.0, 6.0])}
    sheet = FAMILY.sheet(full, widths)
    expected = FAMILY.sheet(
        full, FAMILY.columns([FAMILY.subnet(full, {"width": width}) for width in (3, 6)])
    )
    assert np.array_equal(terms.macs(sheet), terms.macs(expected))
    uniform = FAMILY.sheet(
        full, {"depth_1": np.array([1.0, 2.0]), "kernel_1": np.array([3.0, 5.0])}
    )
    pairs = [{"depth_1": 1, "kernel_1": 3}, {"depth_1": 2, "kernel_1": 5}]
    expected = FAMILY.sheet(full, FAMILY.columns(structures(full, pairs)))
    assert np.array_equal(terms.macs(uniform), terms.macs(expected))


def test_columns_that_describe_no_network_are_refused(full: Any) -> None:
    with pytest.raises(UserError, match="no gene 'kernel_9'; did you mean 'kernel_"):
        FAMILY.sheet(full, {"kernel_9": np.array([1.0])})
    with pytest.raises(UserError, match=r"depth_2 expected 1 to 2 .* came 3"):
        FAMILY.sheet(full, {"depth_2": np.array([3.0])})


def test_no_candidates_give_an_empty_cost(full: Any) -> None:
    assert terms.macs(FAMILY.sheet(full, {"width": np.empty(0)})).shape == (0,)


def test_costs_at_another_length_are_those_of_the_structure_for_it(
    full_structure: Structures,
) -> None:
    full = full_structure("depthwise", "frames")
    longer = {**full, "input_shape": [23, 5]}
    found = terms.macs(FAMILY.sheet(longer, FAMILY.columns([full])))
    counted = terms.macs(module_sheet([empty(full)], torch.zeros(1, 23, 5)))
    assert np.array_equal(found, counted)


def test_groups_are_the_vocabulary_of_all_sheets(full: Any) -> None:
    assert {row.group for row in FAMILY.sheet(full, {}).rows} <= set(GROUPS)


def test_macs_are_grouped_by_what_they_are_spent_on(full_structure: Structures) -> None:
    full = full_structure("residual", "frames")
    groups = terms.macs_by_group(FAMILY.sheet(full, {}))
    first, second = 9 * 2 * 2 * 6 * 6 * 5, 5 * (6 * 9 + 3 * 9 * 9) * 5
    assert groups["front_end"] == 9 * 5 * 6 * 3
    assert groups["convolution"] == first + second + 5 * 6 * 9
    assert groups["head"] == 9 * 3
    assert groups["norm"] == 0


@pytest.mark.parametrize(
    "shape",
    [("depthwise", "frames"), pytest.param(("residual", "colours"), marks=pytest.mark.slow)],
)
def test_the_file_holds_folded_norms_and_its_size_is_fitted(
    shape: tuple[str, str], full_structure: Structures, configurations: Configurations
) -> None:
    full = full_structure(*shape)
    onnx = pytest.importorskip("onnx")
    from stillhouse.plugins.targets.exporters import exported_graph
    from stillhouse.plugins.targets.tidy import tidied

    drawn, example = (
        structures(full, configurations(full, 16)),
        torch.zeros(1, *full["input_shape"]),
    )
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
        norms = [
            part for part in module.modules() if isinstance(part, (nn.BatchNorm1d, nn.BatchNorm2d))
        ]
        weights = sum(w.numel() for w in module.parameters())
        # A norm's scale goes into the convolution's weights, its shift becomes their bias.
        assert held[-1] == 4 * (weights - sum(norm.num_features for norm in norms))
    sheet = FAMILY.sheet(full, FAMILY.columns(drawn))
    assert SizeModel.fit(sheet, np.array(whole, np.float64)).residual_bytes < 32
